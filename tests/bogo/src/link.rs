//! The TCP connection to the runner, as a link of the library and, after the handshake, for reading and writing.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tls_core::Link;

use crate::flags::Flags;

/// Blocks. With `-async` each read and write is first told to wait, and then moves one byte.
pub(crate) struct Socket {
    stream: TcpStream,
    asynchronous: bool,
    was_told_to_wait: bool,
}

impl Socket {
    /// Connects to the runner and says which shim this is.
    pub(crate) fn connect(flags: &Flags, asynchronous: bool) -> io::Result<Self> {
        let address: IpAddr = match flags.ipv6 {
            true => Ipv6Addr::LOCALHOST.into(),
            false => Ipv4Addr::LOCALHOST.into(),
        };
        let mut stream = TcpStream::connect(SocketAddr::new(address, flags.port))?;
        stream.set_nodelay(true)?;
        stream.write_all(&flags.shim_id.to_le_bytes())?;
        Ok(Self {
            stream,
            asynchronous,
            was_told_to_wait: false,
        })
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = match self.asynchronous {
            true => buffer.len().min(1),
            false => buffer.len(),
        };
        match self.stream.read(buffer.get_mut(..length).unwrap_or_default()) {
            // The runner leaves unread what it does not care for; its end is an end all the same.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            read => read,
        }
    }

    pub(crate) fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let length = match self.asynchronous {
            true => buffer.len().min(1),
            false => buffer.len(),
        };
        self.stream.write(buffer.get(..length).unwrap_or_default())
    }

    /// Ends our side, and reads what the runner still says, so that what we said last is not lost in a reset.
    pub(crate) fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let mut rest = [0; 4096];
        while self.stream.read(&mut rest).is_ok_and(|count| count > 0) {}
    }

    fn is_ready(&mut self) -> bool {
        self.was_told_to_wait = self.asynchronous && !self.was_told_to_wait;
        !self.was_told_to_wait
    }
}

impl Link for Socket {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.is_ready() {
            true => Poll::Ready(self.read(buf)),
            false => Poll::Pending,
        }
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.is_ready() {
            true => Poll::Ready(self.write(buf)),
            false => Poll::Pending,
        }
    }
}

/// Polls until it is done: whatever is pending here is ready the next time.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}
