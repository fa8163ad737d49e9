//! Does what a case says, over a wire that never lets it wait.

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Mutex, PoisonError};

use tls_core::dangerous_recorded_crypto::{TapeEntry, record, replay};
use tls_core::{
    Answer, ClientSessionCache as _, Connection, ConnectionContext, EarlyData, Error, KeyLog,
    KeyUpdateRequest, Negotiated, Peer, ReadEvent, ServerName, Side, accept, accept_early, connect_early,
};

use super::case::{Case, Plan, Setting, Shared, Step, client_config, server_config};
use super::wire::{Departure, Wire};
use super::{Recording, Secret, Seed, hex};

/// Bytes of exported keying material.
const EXPORTED: usize = 32;

/// Bytes that are shown.
const SHORT: usize = 64;

/// What the peer is made to do while it is recorded; nothing in a replay.
pub trait Director {
    /// A line for its input.
    fn say(&mut self, text: &str);
    /// Time to do so.
    fn pause(&mut self);
    /// The end of its input.
    fn end_input(&mut self);
    /// It must have exported this.
    fn check_export(&mut self, expected: &[u8]);
}

/// Nobody to direct.
pub struct Nobody;

impl Director for Nobody {
    fn say(&mut self, _: &str) {}
    fn pause(&mut self) {}
    fn end_input(&mut self) {}
    fn check_export(&mut self, _: &[u8]) {}
}

/// How a connection went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What can be said of it, in order.
    pub facts: Vec<String>,
    /// What ended it, if not the end of the plan.
    pub error: Option<Error>,
    /// Whether the handshake was over.
    pub established: bool,
}

/// Collects what a key log gets.
#[derive(Debug, Default)]
pub struct Secrets(Mutex<Vec<Secret>>);

impl Secrets {
    /// All of them.
    #[must_use]
    pub fn get(&self) -> Vec<Secret> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, client_random: &[u8; 32], secret: &[u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Secret {
                label: label.to_owned(),
                client_random: client_random.to_vec(),
                secret: secret.to_vec(),
            });
    }
}

/// A replay of all connections of a case.
#[derive(Debug)]
pub struct Replay {
    /// Where it left the recording: the connection, and the place in it.
    pub departure: Option<(usize, Departure)>,
    /// What can be said of each connection.
    pub facts: Vec<String>,
    /// The secrets of this time.
    pub secrets: Vec<Secret>,
    /// Where the randomness was asked for in another order than recorded.
    pub off_tape: Vec<String>,
    /// How the last connection went.
    pub last: Outcome,
}

/// Replays a recording; each connection over the wire that `wire` makes for its number, as long as none departs.
pub fn replay_case(case: &Case, recording: &Recording, mut wire: impl FnMut(usize) -> Wire) -> Replay {
    let log = Arc::new(Secrets::default());
    let clock = recording
        .values("clock")
        .next()
        .and_then(|clock| clock.parse().ok())
        .unwrap_or(0);
    let mut facts = Vec::new();
    let mut last = Outcome::default();
    let (departure, off_tape) = replay(tape(recording), || {
        let shared = Shared::new(clock, Arc::clone(&log) as _);
        for number in 0..recording.connections.len().min(case.connections.len()) {
            let wire = wire(number);
            let outcome = run(case, number, &wire, &shared, &mut Nobody);
            facts.extend(numbered(number, &outcome));
            last = outcome;
            if let Some(departure) = wire.departure() {
                return Some((number, departure));
            }
        }
        None
    });
    Replay {
        departure,
        facts,
        secrets: log.get(),
        off_tape,
        last,
    }
}

fn tape(recording: &Recording) -> Vec<TapeEntry> {
    let seeds = recording.seeds.iter().cloned();
    seeds
        .map(|seed| TapeEntry::new(seed.operation, seed.input, seed.output))
        .collect()
}

/// Records all connections of a case, each over the wire that `begin` makes for its number, with the director of its
/// peer. What stands in the header besides the results is left to the caller. Randomness is that of an older recording, as
/// far as it fits.
pub fn record_case(
    case: &Case,
    clock: u64,
    older: Option<&Recording>,
    mut begin: impl FnMut(usize) -> (Wire, Box<dyn Director>),
) -> Recording {
    let log = Arc::new(Secrets::default());
    let mut recording = Recording::default();
    let ((), tape) = record(older.map(tape).unwrap_or_default(), || {
        let shared = Shared::new(clock, Arc::clone(&log) as _);
        for number in 0..case.connections.len() {
            let (wire, mut director) = begin(number);
            let outcome = run(case, number, &wire, &shared, &mut *director);
            wire.shut();
            let facts = numbered(number, &outcome);
            recording
                .header
                .extend(facts.map(|fact| ("result".to_owned(), fact)));
            recording.connections.push(wire.events());
        }
    });
    let seeds = tape.into_iter().map(|entry| Seed {
        operation: entry.operation,
        input: entry.input,
        output: entry.output,
    });
    recording.seeds = seeds.collect();
    recording.secrets = log.get();
    recording
}

fn numbered(number: usize, outcome: &Outcome) -> impl Iterator<Item = String> {
    let facts = outcome.facts.iter();
    facts.map(move |fact| format!("connection {}: {fact}", number + 1))
}

/// One connection, to its end.
pub fn run(case: &Case, number: usize, wire: &Wire, shared: &Shared, director: &mut dyn Director) -> Outcome {
    let plan = &case.connections[number];
    let later = case
        .connections
        .iter()
        .take(number + 1)
        .flat_map(|plan| &plan.settings);
    let settings: Vec<Setting> = case.settings.iter().chain(later).cloned().collect();
    let mut outcome = Outcome::default();
    let mut connection = None;
    let mut one = One {
        plan,
        wire: wire.clone(),
        shared,
        outcome: &mut outcome,
    };
    let mut future = Box::pin(async {
        connection = Some(match case.is_client() {
            true => one.connect(&settings).await?,
            false => one.accept(&settings).await?,
        });
        Ok::<_, Error>(())
    });
    let handshake = now(&mut future);
    drop(future);
    if let Some(mut connection) = connection {
        outcome.established = true;
        outcome.facts.push(agreed(connection.negotiated()));
        let mut talk = Talk {
            wire,
            connection: &mut connection,
            tickets: 0,
            keep: None,
            director,
            facts: &mut outcome.facts,
        };
        let config = case.is_client().then(|| client_config(&settings, shared));
        talk.keep = config
            .as_ref()
            .map(|config| (shared, config.session_key(&name(plan))));
        let steps = talk.steps(plan);
        // What is still to be said, an alert among it.
        let said = talk.flush();
        outcome.error = steps.and(said).err();
    } else {
        outcome.error = handshake.err();
    }
    if let Some(error) = &outcome.error {
        outcome.facts.push(format!("failed: {error}").replace('\n', " "));
    }
    outcome
}

fn name(plan: &Plan) -> ServerName<'static> {
    ServerName::try_from(plan.server_name).expect("a good name")
}

/// The result of a future that never waits.
fn now<T>(future: &mut (impl Future<Output = T> + Unpin)) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("something waits that is neither a socket nor a recording"),
    }
}

/// What was agreed on, in one line.
fn agreed(negotiated: &Negotiated) -> String {
    let mut line = format!("{} {}", negotiated.version(), negotiated.cipher_suite());
    let mut add = |value: Option<String>| line.extend(value.map(|value| format!(" {value}")));
    add(negotiated.group().map(|group| group.to_string()));
    add(negotiated.signature_scheme().map(|scheme| scheme.to_string()));
    add(negotiated.server_name().map(|name| format!("server_name={name}")));
    add(negotiated
        .alpn()
        .map(|alpn| format!("alpn={}", String::from_utf8_lossy(alpn))));
    add(negotiated.is_resumed().then(|| "resumed".to_owned()));
    add(negotiated
        .had_hello_retry_request()
        .then(|| "hello_retry_request".to_owned()));
    add(match negotiated.early_data() {
        EarlyData::Accepted => Some("early_data=accepted".to_owned()),
        EarlyData::Rejected => Some("early_data=rejected".to_owned()),
        _ => None,
    });
    let certificates = negotiated.peer_certificates().len();
    add((certificates > 0).then(|| format!("peer_certificates={certificates}")));
    line
}

/// A handshake.
struct One<'a> {
    plan: &'a Plan,
    wire: Wire,
    shared: &'a Shared,
    outcome: &'a mut Outcome,
}

impl One<'_> {
    async fn connect(&mut self, settings: &[Setting]) -> Result<Connection, Error> {
        let config = client_config(settings, self.shared);
        let mut link = self.wire.clone();
        let mut peer = Peer::new(Side::Client, &mut link, ConnectionContext::new());
        let early = self.plan.early.unwrap_or_default().as_bytes();
        let result = connect_early(&mut peer, &config, &name(self.plan), early).await;
        self.alert(&mut peer, result)
            .await
            .map(|(connection, _)| connection)
    }

    async fn accept(&mut self, settings: &[Setting]) -> Result<Connection, Error> {
        let config = server_config(settings, self.shared);
        let mut link = self.wire.clone();
        let mut peer = Peer::new(Side::Server, &mut link, ConnectionContext::new());
        if self.plan.early.is_none() {
            let result = accept(&mut peer, &config).await;
            return self.alert(&mut peer, result).await;
        }
        let result = accept_early(&mut peer, &config).await;
        let early = self.alert(&mut peer, result).await?;
        drop(peer);
        let (mut peer, unfinished) = early.resume(&mut link);
        let result = unfinished.finish(&mut peer).await;
        self.alert(&mut peer, result).await
    }

    async fn alert<T>(&mut self, peer: &mut Peer<'_>, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result
            && let Ok(true) = peer.send_alert(error).await
            && let Some(alert) = error.alert()
        {
            self.outcome.facts.push(format!("sent the alert {alert}"));
        }
        result
    }
}

/// What follows the handshake.
struct Talk<'a> {
    wire: &'a Wire,
    connection: &'a mut Connection,
    tickets: usize,
    keep: Option<(&'a Shared, tls_core::SessionKey)>,
    director: &'a mut dyn Director,
    facts: &'a mut Vec<String>,
}

impl Talk<'_> {
    fn steps(&mut self, plan: &Plan) -> Result<(), Error> {
        // Tickets, for example, that the handshake left.
        self.flush()?;
        for step in &plan.steps {
            match *step {
                Step::Send(text) => {
                    self.connection.writer.write(text.as_bytes())?;
                }
                Step::Say(text) => self.director.say(text),
                Step::Pause => self.director.pause(),
                Step::EndInput => self.director.end_input(),
                Step::Receive(text) => self.receive(text)?,
                Step::KeyUpdate(true) => self.key_update(KeyUpdateRequest::UPDATE_REQUESTED)?,
                Step::KeyUpdate(false) => self.key_update(KeyUpdateRequest::UPDATE_NOT_REQUESTED)?,
                Step::Export(label) => {
                    let mut made = [0; EXPORTED];
                    self.connection
                        .export_keying_material(&mut made, label.as_bytes(), None)?;
                    self.facts.push(format!("exporter {label}: {}", hex(&made)));
                    self.director.check_export(&made);
                }
                Step::Close => self.connection.writer.close_notify()?,
                Step::AwaitEnd => {
                    while self.read()? == ReadEvent::Data {
                        let data = self.connection.reader.data();
                        let len = data.len();
                        self.facts.push(match str::from_utf8(data) {
                            Ok(text) if len <= SHORT => format!("received {text:?}"),
                            _ => format!("received {len} bytes"),
                        });
                        self.connection.reader.consume(len);
                    }
                    self.facts.push("the peer sent close_notify".to_owned());
                }
                Step::ReadTickets(count) => {
                    while self.tickets < count {
                        match self.process()? {
                            ReadEvent::NeedMore if self.tickets < count => self.fill()?,
                            ReadEvent::NeedMore => {}
                            event => {
                                self.facts.push(format!("{event:?} instead of a ticket"));
                                break;
                            }
                        }
                    }
                    self.facts.push(format!("{} sessions to resume", self.tickets));
                }
            }
            self.flush()?;
        }
        Ok(())
    }

    fn key_update(&mut self, request: KeyUpdateRequest) -> Result<(), Error> {
        self.connection.writer.request_key_update(request)
    }

    /// Reads until this has come, and nothing else.
    fn receive(&mut self, text: &str) -> Result<(), Error> {
        let mut got = Vec::new();
        while got.len() < text.len() && self.read()? == ReadEvent::Data {
            let data = self.connection.reader.data();
            got.extend_from_slice(data);
            let len = data.len();
            self.connection.reader.consume(len);
        }
        if got != text.as_bytes() {
            let got = String::from_utf8_lossy(&got).into_owned();
            self.facts.push(format!("received {got:?} instead of {text:?}"));
        }
        Ok(())
    }

    /// Goes on to data or the end.
    fn read(&mut self) -> Result<ReadEvent, Error> {
        loop {
            match self.process()? {
                ReadEvent::NeedMore => self.fill()?,
                event => return Ok(event),
            }
        }
    }

    fn process(&mut self) -> Result<ReadEvent, Error> {
        let event = self.connection.reader.process();
        while let Some(session) = self.connection.reader.take_session() {
            self.tickets += 1;
            if let Some((shared, key)) = &self.keep {
                let context = ConnectionContext::new();
                let put = shared.cache.put(key, session, &context);
                assert!(matches!(put, Answer::Now(Ok(()))), "the cache answers at once");
            }
        }
        self.flush()?;
        event
    }

    fn fill(&mut self) -> Result<(), Error> {
        let reader = &mut self.connection.reader;
        match self.wire.read(reader.space())? {
            0 => reader.eof(),
            count => reader.filled(count),
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        let writer = &mut self.connection.writer;
        writer.apply_control()?;
        if !writer.pending().is_empty() {
            self.wire.write(writer.pending())?;
            writer.sent(writer.pending().len());
        }
        Ok(())
    }
}
