//! The TCP connection to the runner, as a link of the library and, after the handshake, for reading and writing.

use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tls_core::Link;

use crate::flags::Flags;

/// Blocks. With `-async` it does not: each read and write is told to wait at first, and then moves one byte.
pub(crate) struct Socket {
    stream: TcpStream,
    asynchronous: bool,
    read_waited: bool,
    write_waited: bool,
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
        stream.set_nonblocking(asynchronous)?;
        Ok(Self {
            stream,
            asynchronous,
            read_waited: false,
            write_waited: false,
        })
    }

    /// Reads, and waits for that.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        block_on(poll_fn(|cx| self.poll_read(cx, buffer)))
    }

    /// Writes, and waits for that.
    pub(crate) fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        block_on(poll_fn(|cx| self.poll_write(cx, buffer)))
    }

    /// Ends our side, and reads what the runner still says, so that what we said last is not lost in a reset.
    pub(crate) fn finish(&mut self) {
        let _ = self.stream.set_nonblocking(false);
        let _ = self.stream.shutdown(Shutdown::Write);
        let mut rest = [0; 4096];
        while self.stream.read(&mut rest).is_ok_and(|count| count > 0) {}
    }

    fn length(&self, length: usize) -> usize {
        match self.asynchronous {
            true => length.min(1),
            false => length,
        }
    }
}

impl Link for Socket {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.read_waited = self.asynchronous && !self.read_waited;
        if self.read_waited {
            return Poll::Pending;
        }
        let length = self.length(buf.len());
        match self.stream.read(buf.get_mut(..length).unwrap_or_default()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            // The runner leaves unread what it does not care for; its end is an end all the same.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Poll::Ready(Ok(0)),
            read => Poll::Ready(read),
        }
    }

    fn poll_write(&mut self, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.write_waited = self.asynchronous && !self.write_waited;
        if self.write_waited {
            return Poll::Pending;
        }
        match self
            .stream
            .write(buf.get(..self.length(buf.len())).unwrap_or_default())
        {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            written => Poll::Ready(written),
        }
    }
}

/// Polls until it is done. Nothing here wakes anybody: what is pending for longer waits for the runner, which is given
/// time.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut turns = 0_u32;
    loop {
        turns = turns.wrapping_add(1);
        if turns.is_multiple_of(4) {
            std::thread::sleep(std::time::Duration::from_micros(20));
        }
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}
