//! A client of ours against a server of ours. What is under way is changed (somebody on the path), or one of the two says
//! something else than it means (a peer that lies, with keys and hashes that fit).
//!
//! An input is a byte for the scenario, one for who interferes, one for the size of the pieces that arrive, and the
//! [edits](super::edits): for somebody on the path the number of a flight, with the high bit the server's; for a liar the
//! number of a message.

use std::cell::Cell;
use std::rc::Rc;

use tls_core::fuzzing::{seeded, tampered};
use tls_core::{ProtocolVersion, Side};

use super::edits::{self, Edit, XOR};
use super::ends::Ends;
use super::input::Input;
use super::scenario::{SCENARIOS, Scenario};
use super::units::without_hello_requests;
use super::{Seeds, assert_blames_the_peer};
use crate::hello::record;

/// Who interferes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Somebody on the path.
    Path,
    /// One of the two.
    Liar(Side),
}

const OF_THE_SERVER: u8 = 0x80;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let scenario = Scenario::of(input.u8());
    let who = match input.u8() % 3 {
        0 => Who::Path,
        1 => Who::Liar(Side::Client),
        _ => Who::Liar(Side::Server),
    };
    let chunk = match input.u8() {
        0 => usize::MAX,
        chunk => chunk.into(),
    };
    let edits = edits::read(&mut input);
    // Not with the randomness of this one.
    scenario.session();
    let lied = Rc::new(Cell::default());
    let both = seeded(1, || match who {
        Who::Path => Ends::meet(scenario, chunk, |side, number, bytes| {
            change(&edits, side, number, bytes)
        }),
        Who::Liar(liar) => {
            let lies = lies(liar, owned(&edits), Rc::clone(&lied));
            tampered(lies, || Ends::meet(scenario, chunk, |_, _, _| {}))
        }
    });
    judge(scenario, who, &both);
    judge_lies(scenario, who, &both, lied.get());
    if edits.is_empty() {
        let is_whole = both.client.got_all_of(&both.server) && both.server.got_all_of(&both.client);
        assert!(
            is_whole && both.client.established().is_some(),
            "{}: nobody interfered",
            scenario.name
        );
    }
}

/// What a liar has changed.
#[derive(Clone, Copy, Default)]
struct Lied {
    /// A ClientHello, for which its binders do not stand.
    hello: bool,
    /// A signature, or a Finished.
    proof: bool,
}

/// What this side says instead of its messages, of which the first has number 1.
fn lies(liar: Side, lies: Vec<Lie>, lied: Rc<Cell<Lied>>) -> impl FnMut(Side, &[u8]) -> Option<Vec<u8>> {
    let mut number = 0;
    move |side, message| {
        if side != liar {
            return None;
        }
        number += 1;
        let mut told = message.to_vec();
        let of_this = lies.iter().filter(|(which, ..)| which % 16 == number % 16);
        of_this.for_each(|lie| tell(lie, &mut told));
        if told == message {
            return None;
        }
        // What follows the message is another one. So is what comes before, if it is HelloRequests, which a client of TLS 1.2
        // ignores in a handshake and does not hash (RFC 5246 7.4.1.1).
        let mut said = told.as_slice();
        while let Some(rest) = said.strip_prefix(&[0; 4]) {
            said = rest;
        }
        if said.starts_with(message) {
            return Some(told);
        }
        let Lied { hello, proof } = lied.get();
        let kind = message.first().copied();
        lied.set(Lied {
            hello: hello || kind == Some(1),
            // ServerKeyExchange, CertificateVerify, Finished.
            proof: proof || matches!(kind, Some(12 | 15 | 20)),
        });
        Some(told)
    }
}

/// Nobody believes what is not proven.
fn judge_lies(scenario: &Scenario, who: Who, both: &Ends, lied: Lied) {
    let honest = match who {
        Who::Path => return,
        Who::Liar(Side::Client) => &both.server,
        Who::Liar(Side::Server) => &both.client,
    };
    assert!(
        !lied.proof || honest.established().is_none(),
        "{}: nothing was proven",
        scenario.name
    );
    let is_bound = honest.established() == Some(ProtocolVersion::TLS13) && honest.is_resumed();
    assert!(
        !lied.hello || !is_bound,
        "{}: resumed with the binder of another hello",
        scenario.name
    );
}

/// What somebody on the path does to a flight.
fn change(edits: &[Edit<'_>], side: Side, number: usize, bytes: &mut Vec<u8>) {
    let of_server = side == Side::Server;
    for edit in edits {
        let is_of_side = (edit.which & OF_THE_SERVER != 0) == of_server;
        if is_of_side && usize::from(edit.which & 7) == number {
            match edit.what & 0x80 {
                0 => edit.apply(bytes),
                // A record of its own, in front.
                _ => drop(bytes.splice(0..0, record(edit.what & 0x1f, edit.piece))),
            }
        }
    }
}

type Lie = (u8, u8, Vec<u8>);

/// [`Edit`]s that need not borrow, in the form in which they are written.
fn owned(edits: &[Edit<'_>]) -> Vec<Lie> {
    edits
        .iter()
        .map(|edit| (edit.which, edit.what, edit.written()))
        .collect()
}

fn tell((_, what, written): &Lie, message: &mut Vec<u8>) {
    let edits = edits::read(&mut Input::new(written));
    edits.iter().for_each(|edit| edit.apply(message));
    // Else it is a message that never ends, more often than not.
    if what & 0x40 == 0 && message.len() >= 4 {
        let len = u32::try_from(message.len() - 4).unwrap_or(0).to_be_bytes();
        message[1..4].copy_from_slice(&len[1..]);
    }
}

fn judge(scenario: &Scenario, who: Who, both: &Ends) {
    let name = scenario.name;
    let Ends { client, server, .. } = both;
    for (side, end) in [(Side::Client, client), (Side::Server, server)] {
        let what = format!("{name}: the {side:?} with {who:?}");
        if let Some(error) = end.error()
            && who != Who::Liar(side)
        {
            assert_blames_the_peer(error, &what);
            assert!(
                error.side() == Some(side) || end.established().is_some(),
                "{what}: {error:?}"
            );
        }
        assert!(!end.waits(), "{what}: waits although nothing will come");
    }
    // Nobody is done but with the handshake that both have seen.
    if who == Who::Path
        && let Some(version) = client.established().or_else(|| server.established())
    {
        for (from, to) in [(client, server), (server, client)] {
            let (sent, mut got) = (from.handshake_sent(version), to.handshake_received(version));
            if version == ProtocolVersion::TLS12 {
                got = without_hello_requests(&got);
            }
            assert!(
                got.starts_with(&sent),
                "{name}: established over {got:02x?} instead of {sent:02x?}"
            );
        }
    }
    both.check_data(name, who == Who::Path);
}

/// Every scenario without a change, with one in each of the first flights and messages, and with a forged alert.
pub(super) fn seeds() -> Seeds {
    let mut seeds = Seeds::new();
    for (number, scenario) in (0..).zip(&SCENARIOS) {
        let mut add = |name: &str, who: u8, chunk: u8, edits: &[(u8, u8, u16, &[u8])]| {
            let mut bytes = vec![number, who, chunk];
            for (which, what, at, piece) in edits {
                edits::put(&mut bytes, *which, *what, *at, piece);
            }
            seeds.push((format!("{}-{name}", scenario.name), bytes));
        };
        add("untouched", 0, 0, &[]);
        add("in-pieces", 0, 7, &[]);
        for (flight, at) in [(0, 60), (0x80, 100), (1, 40), (0x81, 20), (2, 30), (0x82, 30)] {
            add(&format!("flight-{flight}"), 0, 0, &[(flight, XOR, at, &[1])]);
        }
        add("alert", 0, 0, &[(0x80, 0x80 | 21, 0, &[2, 40])]);
        add("ccs", 0, 0, &[(0x80, 0x80 | 20, 0, &[1])]);
        for message in 1..7 {
            for who in [1, 2] {
                // Also in a Finished of TLS 1.2, which is the shortest.
                let at = 4 + u16::from(message) * 5 % 12;
                add(
                    &format!("lie-{who}-{message}"),
                    who,
                    0,
                    &[(message, XOR, at, &[1])],
                );
            }
        }
    }
    seeds
}
