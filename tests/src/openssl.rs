//! `openssl s_server`, `openssl s_client` and `curl` as peers.
//!
//! Three ways to use the first two:
//! - with `-quiet`, stdin and stdout are the plaintext of the connection and nothing else is printed: for echo tests
//!   (both ends must read while they write);
//! - without, the negotiated values are printed (see [`Negotiated`]) and single letters at the beginning of a write
//!   to stdin are commands: `K` sends a KeyUpdate that asks for one, `k` one that does not, `Q` ends; add `-msg` to
//!   see each message (`s_server` flushes what it prints beside the data only when its buffer is full or it ends: look
//!   at it after [`Process::finish`]);
//! - `s_server -rev` sends each line back, reversed.
//!
//! `s_client -quiet` ignores the end of stdin; `-no_ign_eof` after it makes it close the connection then, but needs
//! `-nocommands` beside it, or data whose first byte is one of the letters is a command again.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use crate::pki::IdentityFiles;
use crate::process::{Finished, LIMIT, Process};

/// A running `openssl s_server`.
#[derive(Debug)]
pub struct Server {
    /// The program.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Starts `openssl s_server` with this identity on a free port of 127.0.0.1, and waits until it listens.
///
/// It ends after one connection unless `arguments` say otherwise by `-naccept`.
///
/// # Panics
///
/// If it does not come to listen.
pub async fn s_server(identity: &IdentityFiles, arguments: &[&str]) -> Server {
    let mut line = vec!["s_server", "-accept", "127.0.0.1:0"];
    line.extend([
        "-cert",
        identity.leaf.to_str().unwrap(),
        "-key",
        identity.key.to_str().unwrap(),
    ]);
    if let Some(issuers) = &identity.issuers {
        line.extend(["-cert_chain", issuers.to_str().unwrap()]);
    }
    if !arguments.contains(&"-naccept") {
        line.extend(["-naccept", "1"]);
    }
    line.extend(arguments);
    let process = Process::spawn("openssl", line);
    let address = if arguments.contains(&"-quiet") {
        listening(&process).await
    } else {
        announced(&process.wait_for("ACCEPT 127.0.0.1:").await, &process).await
    };
    Server { process, address }
}

/// `openssl s_client` to this address.
#[must_use]
pub fn s_client(address: SocketAddr, arguments: &[&str]) -> Process {
    let address = address.to_string();
    let mut line = vec!["s_client", "-connect", &address];
    line.extend(arguments);
    Process::spawn("openssl", line)
}

/// `curl`, silent but for errors, with a limit of 20 seconds. Proxy settings are ignored.
#[must_use]
pub fn curl(arguments: &[&str]) -> Process {
    let mut line = vec!["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"];
    line.extend(arguments);
    Process::spawn("curl", line)
}

/// Makes a running `s_client` or `s_server` (without `-quiet`) send a KeyUpdate that asks for one (`and_ask`) or does
/// not, and gives it time to do so, since a command is a read of its own.
///
/// `s_server` sends it at once. `s_client` sends it before its next data, so send some afterwards.
///
/// # Panics
///
/// If the program has ended.
pub async fn send_key_update(peer: &mut Process, and_ask: bool) {
    // s_client says at once that it took the command; what s_server says is not flushed.
    let said = |text: &str| text.matches("KEYUPDATE").count();
    let before = said(&peer.text());
    peer.send(if and_ask { b"K\n" } else { b"k\n" })
        .await
        .expect("the peer runs");
    let confirmed = peer.wait_until("confirms its KeyUpdate", |peer| said(&peer.text()) > before);
    let _ = timeout(Duration::from_millis(300), confirmed).await;
}

/// The address in `ACCEPT 127.0.0.1:port`, once its line is complete.
async fn announced(text: &str, process: &Process) -> SocketAddr {
    let mut text = text.to_owned();
    loop {
        let rest = text.split_once("ACCEPT ").map_or("", |(_, rest)| rest);
        if let Some((address, _)) = rest.split_once('\n') {
            return address
                .trim()
                .parse()
                .unwrap_or_else(|_| panic!("not an address: {address}"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        text = process.text();
    }
}

/// The address on which a process listens, from `/proc`: with `-quiet`, `s_server` does not tell it.
async fn listening(process: &Process) -> SocketAddr {
    let started = std::time::Instant::now();
    let id = process.id().expect("the program runs");
    loop {
        if let Some(port) = listening_port(id) {
            return SocketAddr::from(([127, 0, 0, 1], port));
        }
        assert!(
            started.elapsed() < LIMIT,
            "the server does not listen\n{}",
            process.text()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The port of IPv4 on which a process listens, from `/proc`.
///
/// # Panics
///
/// Where there is no `/proc`.
#[must_use]
pub fn listening_port(process: u32) -> Option<u16> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("/proc/net/tcp is readable (Linux)");
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .ok()?
        .filter_map(|entry| Some(std::fs::read_link(entry.ok()?.path()).ok()?.to_str()?.to_owned()))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    table.lines().find_map(|line| {
        // sl, local address:port, remote, state (0A = listening), four more, inode.
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let ours = *state == "0A" && sockets.iter().any(|socket| socket == inode);
        ours.then(|| u16::from_str_radix(local.split_once(':')?.1, 16).ok())
            .flatten()
    })
}

/// The alert that an OpenSSL peer (or a curl built on it) received, from `SSL alert number N` in its output.
#[must_use]
pub fn alert_seen(text: &str) -> Option<u8> {
    let (_, rest) = text.split_once("SSL alert number ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

impl Finished {
    /// [`alert_seen`] of all it wrote.
    #[must_use]
    pub fn alert_seen(&self) -> Option<u8> {
        alert_seen(&self.text())
    }
}

/// What `s_client` says was negotiated (it must run without `-quiet`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// `TLS_AES_128_GCM_SHA256`, or OpenSSL's own name of a TLS 1.2 suite (`ECDHE-ECDSA-AES128-GCM-SHA256`).
    pub cipher: String,
    /// `X25519`, `prime256v1`, `secp384r1`, `secp521r1`; empty if OpenSSL did not print it.
    pub group: String,
    /// `ECDSA`, `RSA-PSS`, `RSA`, or `ed25519`, in whatever case this OpenSSL writes it.
    pub signature: String,
    /// `SHA256` and so on; empty for ed25519.
    pub digest: String,
    /// The protocol chosen by ALPN.
    pub alpn: Option<String>,
    /// The number after `Verify return code:`; 0 is good.
    pub verify_code: Option<u32>,
    /// Whether a session was resumed (`Reused, TLSv1.3 ...`).
    pub reused: bool,
    /// How many certificates the server sent.
    pub chain_length: usize,
}

impl Negotiated {
    /// Reads the output of `s_client`; `None` until the line with version and suite is there.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.trim().strip_prefix(key))
                .map(str::trim)
        };
        let is_summary = |line: &&str| {
            (line.starts_with("New, ") || line.starts_with("Reused, ")) && line.contains(", Cipher is ")
        };
        let summary = text.lines().find(is_summary)?;
        let (head, cipher) = summary.split_once(", Cipher is ")?;
        let (newness, version) = head.split_once(", ")?;
        // "X25519, 253 bits" or "ECDH, prime256v1, 256 bits"
        let group = value("Server Temp Key:")
            .unwrap_or_default()
            .trim_start_matches("ECDH, ");
        Some(Self {
            version: version.to_owned(),
            cipher: cipher.trim().to_owned(),
            group: group.split(',').next().unwrap_or_default().to_owned(),
            signature: value("Peer signature type:").unwrap_or_default().to_owned(),
            digest: value("Peer signing digest:").unwrap_or_default().to_owned(),
            alpn: value("ALPN protocol:").map(str::to_owned),
            verify_code: value("Verify return code:").and_then(|code| code.split(' ').next()?.parse().ok()),
            reused: newness == "Reused",
            chain_length: text.lines().filter(|line| is_chain_entry(line)).count(),
        })
    }
}

/// ` 0 s:CN = localhost`
fn is_chain_entry(line: &str) -> bool {
    line.trim_start()
        .split_once(" s:")
        .is_some_and(|(place, _)| place.parse::<u32>().is_ok())
}
