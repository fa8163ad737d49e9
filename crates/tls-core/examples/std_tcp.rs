//! TLS on a `std::net::TcpStream`, without a runtime: an echo server and a client for it, which block.
//!
//! ```sh
//! cargo run -p tls-core --example std_tcp -- serve chain.pem key.pem 127.0.0.1:8443
//! echo hello | cargo run -p tls-core --example std_tcp -- connect ca.pem localhost 127.0.0.1:8443
//! ```
//!
//! Each read and write of the socket has a limit, the handshake as a whole has none: that takes a timer, as `tls-tokio`
//! has it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use tls_core::{
    CertifiedKey, ClientConfig, Connection, Driver, Progress, ReadEvent, Reader, RootStore, ServerConfig,
    ServerName, Writer,
};

/// For one read or write of the socket.
const LIMIT: Duration = Duration::from_secs(30);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", chain, key, address] => serve(chain, key, address),
        ["connect", roots, name, address] => connect(roots, name, address),
        _ => Err("usage: std_tcp serve CHAIN KEY ADDRESS | connect ROOTS NAME ADDRESS".into()),
    }
}

fn serve(chain: &str, key: &str, address: &str) -> Outcome<()> {
    let certificate = CertifiedKey::from_pem(&std::fs::read(chain)?, &std::fs::read(key)?)?;
    let config = ServerConfig::builder().certificate(certificate).build()?;
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (tcp, address) = listener.accept()?;
        let driver = Driver::server(&config);
        std::thread::spawn(move || {
            if let Err(error) = echo(driver, tcp) {
                eprintln!("{address}: {error}");
            }
        });
    }
}

fn echo(driver: Driver, tcp: TcpStream) -> io::Result<()> {
    let mut stream = Stream::new(driver, tcp)?;
    let mut space = [0; 4096];
    loop {
        let length = stream.read(&mut space)?;
        let Some(received @ [_, ..]) = space.get(..length) else {
            return stream.close();
        };
        stream.write_all(received)?;
        stream.flush()?;
    }
}

fn connect(roots: &str, name: &str, address: &str) -> Outcome<()> {
    let roots = RootStore::from_pem(&std::fs::read(roots)?)?;
    let config = ClientConfig::builder().roots(roots).build()?;
    let driver = Driver::client(&config, ServerName::try_from(name.to_owned())?);
    let mut stream = Stream::new(driver, TcpStream::connect(address)?)?;
    for line in io::stdin().lines() {
        let line = format!("{}\n", line?);
        stream.write_all(line.as_bytes())?;
        stream.flush()?;
        let mut answer = vec![0; line.len()];
        stream.read_exact(&mut answer)?;
        io::stdout().write_all(&answer)?;
    }
    stream.close()?;
    // To the server's close_notify: nothing was cut off.
    io::copy(&mut stream, &mut io::stdout())?;
    Ok(())
}

/// An established connection on a socket.
struct Stream {
    tcp: TcpStream,
    reader: Reader,
    writer: Writer,
}

impl Stream {
    /// Runs the handshake: bytes from the socket into the driver, bytes of the driver into the socket.
    fn new(mut driver: Driver, mut tcp: TcpStream) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(LIMIT))?;
        tcp.set_write_timeout(Some(LIMIT))?;
        let mut space = [0; 4096];
        loop {
            let progress = driver.advance();
            // After an error too: it is the alert.
            tcp.write_all(&driver.transmit())?;
            if progress? == Progress::Done {
                break;
            }
            match tcp.read(&mut space)? {
                0 => driver.eof(),
                length => driver.receive(space.get(..length).unwrap_or_default()),
            }
        }
        let Connection { reader, writer, .. } = driver.into_connection()?;
        Ok(Self { tcp, reader, writer })
    }

    /// Says that no more data will come. Reading goes on.
    fn close(&mut self) -> io::Result<()> {
        self.writer.close_notify()?;
        self.flush()?;
        self.tcp.shutdown(Shutdown::Write)
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !out.is_empty() {
            let length = self.reader.read_into(out);
            if length > 0 {
                return Ok(length);
            }
            let event = self.reader.process();
            if self.reader.control().is_set() {
                // What was read is to be answered: a KeyUpdate, or something wrong with an alert.
                let _ = self.flush();
            }
            match event? {
                ReadEvent::Closed => return Ok(0),
                ReadEvent::Data => {}
                _ => match self.tcp.read(self.reader.space())? {
                    0 => self.reader.eof(),
                    length => self.reader.filled(length),
                },
            }
        }
        Ok(0)
    }
}

impl Write for Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        loop {
            let length = self.writer.write(data)?;
            if length > 0 || data.is_empty() {
                return Ok(length);
            }
            // What waits for the socket is as much as may.
            self.flush()?;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.apply_control()?;
        let length = self.writer.pending().len();
        self.tcp.write_all(self.writer.pending())?;
        self.writer.sent(length);
        self.tcp.flush()
    }
}
