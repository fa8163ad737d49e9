//! What a connection runs over: a socket whose bytes are written down, or a recording that answers in its place.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tls_core::Link;

use super::{Event, What};

/// How long a peer that is recorded may be silent.
const SILENCE: Duration = Duration::from_secs(10);

/// How often the end of a stream may be read: more means that nobody notices it.
const MAX_ENDS: u32 = 10;

/// A transport that never lets anybody wait: reading from a socket blocks.
#[derive(Clone, Debug)]
pub struct Wire(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Whether we are the client.
    client: bool,
    source: Source,
    events: Vec<Event>,
    departure: Option<Departure>,
}

#[derive(Debug)]
enum Source {
    Socket(TcpStream),
    /// The recording, how many events of it have happened, and how many bytes of the next one were read.
    Recording(Vec<Event>, usize, usize),
    /// The peer's bytes, how many of them were read, and how often the end was; what we write does not matter.
    Bytes(Vec<u8>, usize, u32),
}

/// Where a replay left the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The event that should have happened; `events.len()` at the end.
    pub event: usize,
    /// What we wrote there; `None` where we wanted to read.
    pub written: Option<Vec<u8>>,
}

impl Wire {
    /// Records what goes over this socket.
    ///
    /// # Panics
    /// If the socket takes no timeout.
    #[must_use]
    pub fn record(client: bool, socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(SILENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("a socket without delay");
        Self::new(client, Source::Socket(socket))
    }

    /// Has this recording as the peer.
    #[must_use]
    pub fn replay(client: bool, events: Vec<Event>) -> Self {
        Self::new(client, Source::Recording(events, 0, 0))
    }

    /// A peer that says this and ends, whatever it is told.
    #[must_use]
    pub fn deaf(client: bool, bytes: Vec<u8>) -> Self {
        Self::new(client, Source::Bytes(bytes, 0, 0))
    }

    fn new(client: bool, source: Source) -> Self {
        Self(Arc::new(Mutex::new(State {
            client,
            source,
            events: Vec::new(),
            departure: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has happened.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// How many bytes of the peer were read, on a wire made with [`Self::deaf`].
    #[must_use]
    pub fn read_so_far(&self) -> usize {
        match &self.lock().source {
            Source::Bytes(_, read, _) => *read,
            Source::Socket(_) | Source::Recording(..) => 0,
        }
    }

    /// Where the replay left the recording, if it did: also where it ended too early.
    #[must_use]
    pub fn departure(&self) -> Option<Departure> {
        let state = self.lock();
        let ended = match &state.source {
            Source::Recording(events, next, _) if *next < events.len() => Some(Departure {
                event: *next,
                written: None,
            }),
            _ => None,
        };
        state.departure.clone().or(ended)
    }

    /// Reads, without ever waiting for more than a socket.
    ///
    /// # Errors
    /// The socket's, or that the replay left the recording.
    pub fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock();
        let what = match &mut state.source {
            Source::Socket(socket) => match socket.read(buf) {
                Ok(0) => What::End,
                Ok(count) => What::Bytes(buf[..count].to_vec()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => What::Reset,
                Err(error) => return Err(error),
            },
            Source::Recording(..) => return state.read_recording(buf),
            Source::Bytes(bytes, read, ends) => {
                let rest = &bytes[*read..];
                let count = rest.len().min(buf.len());
                buf[..count].copy_from_slice(&rest[..count]);
                *read += count;
                *ends += u32::from(count == 0);
                assert!(*ends <= MAX_ENDS, "whoever reads here would do so for ever");
                return Ok(count);
            }
        };
        let result = result_of(&what);
        let from_client = !state.client;
        state.events.push(Event { from_client, what });
        result
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let event = Event {
            from_client: state.client,
            what: What::Bytes(bytes.to_vec()),
        };
        match &mut state.source {
            Source::Socket(socket) => socket.write_all(bytes)?,
            Source::Recording(events, next, _) => {
                if events.get(*next) != Some(&event) {
                    let event = *next;
                    return Err(state.depart(event, Some(bytes.to_vec())));
                }
                *next += 1;
            }
            Source::Bytes(..) => {}
        }
        state.events.push(event);
        Ok(())
    }

    /// Says that nothing more will be written.
    pub fn shut(&self) {
        if let Source::Socket(socket) = &self.lock().source {
            // The peer may have gone before.
            let _ = socket.shutdown(std::net::Shutdown::Write);
        }
    }
}

impl State {
    fn depart(&mut self, event: usize, written: Option<Vec<u8>>) -> io::Error {
        self.departure.get_or_insert(Departure { event, written });
        io::Error::other("the replay left the recording")
    }

    fn read_recording(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let client = self.client;
        let Source::Recording(events, next, read) = &mut self.source else {
            return Ok(0);
        };
        let place = *next;
        let Some(event) = events
            .get(place)
            .filter(|event| event.from_client != client)
            .cloned()
        else {
            return Err(self.depart(place, None));
        };
        let result = match &event.what {
            What::Bytes(bytes) => {
                let rest = &bytes[*read..];
                let count = rest.len().min(buf.len());
                buf[..count].copy_from_slice(&rest[..count]);
                *read += count;
                if *read < bytes.len() {
                    return Ok(count);
                }
                Ok(count)
            }
            other => result_of(other),
        };
        (*next, *read) = (place + 1, 0);
        self.events.push(event);
        result
    }
}

fn result_of(what: &What) -> io::Result<usize> {
    match what {
        What::Bytes(bytes) => Ok(bytes.len()),
        What::End => Ok(0),
        What::Reset => Err(ErrorKind::ConnectionReset.into()),
    }
}

impl Link for Wire {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.read(buf))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write(buf).map(|()| buf.len()))
    }
}
