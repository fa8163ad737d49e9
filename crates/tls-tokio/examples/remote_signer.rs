//! A server whose private key is in another process: what it serves with cannot be stolen from it.
//!
//! ```sh
//! cargo run -p tls-tokio --example remote_signer -- sign /tmp/signer.sock key.pem
//! cargo run -p tls-tokio --example remote_signer -- serve /tmp/signer.sock chain.pem 127.0.0.1:8443
//! ```
//!
//! On the socket everything has a length (four bytes, big endian) before it. The signer begins with the code points of
//! the schemes it can sign with, two bytes each. Each request is a scheme and the content to be signed; each answer is a
//! zero and the signature, or a one and what is wrong.
//!
//! Whoever can open the socket can have anything signed: it is made for its owner alone, and belongs into a directory
//! that only the two processes can enter. A signer for production would keep a record, and compare what it is asked to
//! sign with what handshakes sign (64 spaces and "TLS 1.3, server CertificateVerify" in TLS 1.3).

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tls_tokio::tls_core::pki_types::pem::PemObject as _;
use tls_tokio::tls_core::{Answer, HookError, PrivateKey, SigningKey};
use tls_tokio::{
    CertificateDer, CertifiedKey, ConnectionContext, PrivateKeyDer, ServerConfig, SignatureScheme,
    TlsAcceptor,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// No request and no answer is longer: what is signed has some 200 bytes, the longest signature 1024.
const MAX_LENGTH: usize = 64 * 1024;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["sign", socket, key] => sign(Path::new(socket), Path::new(key)).await,
        ["serve", socket, chain, address] => serve(Path::new(socket), Path::new(chain), address).await,
        _ => Err("usage: remote_signer sign SOCKET KEY | serve SOCKET CHAIN ADDRESS".into()),
    }
}

/// The process that has the key.
async fn sign(socket: &Path, key: &Path) -> Outcome<()> {
    let key = Arc::new(SigningKey::from_der(&PrivateKeyDer::from_pem_file(key)?)?);
    // What a signer left behind that was killed.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    println!("signing on {}", socket.display());
    loop {
        let (stream, _) = listener.accept().await?;
        let key = Arc::clone(&key);
        tokio::spawn(async move {
            match answer_requests(stream, &key).await {
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => eprintln!("{error}"),
                _ => {}
            }
        });
    }
}

async fn answer_requests(mut stream: UnixStream, key: &SigningKey) -> io::Result<()> {
    let schemes: Vec<u8> = key
        .schemes()
        .iter()
        .flat_map(|scheme| scheme.0.to_be_bytes())
        .collect();
    send(&mut stream, &[&schemes]).await?;
    loop {
        let request = receive(&mut stream).await?;
        let Some((scheme, content)) = request.split_first_chunk() else {
            return Err(io::Error::other("a request without a scheme"));
        };
        match key.sign(SignatureScheme(u16::from_be_bytes(*scheme)), content) {
            Ok(signature) => send(&mut stream, &[&[0], &signature]).await?,
            Err(error) => send(&mut stream, &[&[1], error.to_string().as_bytes()]).await?,
        }
    }
}

/// The process that serves.
async fn serve(socket: &Path, chain: &Path, address: &str) -> Outcome<()> {
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
    let key = RemoteKey::new(socket).await?;
    let certified = CertifiedKey::new(chain, Arc::new(key))?;
    let acceptor = TlsAcceptor::new(ServerConfig::builder().certificate(certified).build()?);
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (tcp, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Err(error) = Box::pin(greet(&acceptor, tcp)).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn greet(acceptor: &TlsAcceptor, tcp: TcpStream) -> io::Result<()> {
    let mut tls = acceptor.accept(tcp).await?;
    tls.write_all(b"signed elsewhere\n").await?;
    tls.shutdown().await
}

/// The key as the server sees it. Connections to the signer are used again; each signature that is being made has one
/// of its own, so that a handshake that is given up takes no other's answer with it.
struct RemoteKey {
    socket: PathBuf,
    schemes: Vec<SignatureScheme>,
    idle: Mutex<Vec<UnixStream>>,
}

impl RemoteKey {
    /// Asks the signer what it can do: it must be there already.
    async fn new(socket: &Path) -> io::Result<Self> {
        let (stream, schemes) = open(socket).await?;
        Ok(Self {
            socket: socket.to_owned(),
            schemes,
            idle: Mutex::new(vec![stream]),
        })
    }

    async fn ask(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, HookError> {
        // A connection that was idle may be to a signer that is gone: signing twice does no harm.
        while let Some(idle) = self.take_idle() {
            if let Ok(answer) = self.ask_on(idle, scheme, message).await {
                return signature(answer);
            }
        }
        let gone = |error: io::Error| io::Error::new(error.kind(), format!("the signer: {error}"));
        let (stream, _) = open(&self.socket).await.map_err(gone)?;
        signature(self.ask_on(stream, scheme, message).await.map_err(gone)?)
    }

    async fn ask_on(
        &self,
        mut stream: UnixStream,
        scheme: SignatureScheme,
        message: &[u8],
    ) -> io::Result<Vec<u8>> {
        send(&mut stream, &[&scheme.0.to_be_bytes(), message]).await?;
        let answer = receive(&mut stream).await?;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(stream);
        Ok(answer)
    }

    fn take_idle(&self) -> Option<UnixStream> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// A connection to the signer, and its schemes.
async fn open(socket: &Path) -> io::Result<(UnixStream, Vec<SignatureScheme>)> {
    let mut stream = UnixStream::connect(socket).await?;
    let schemes = receive(&mut stream).await?;
    let (schemes, _) = schemes.as_chunks();
    let schemes = schemes
        .iter()
        .map(|scheme| SignatureScheme(u16::from_be_bytes(*scheme)));
    Ok((stream, schemes.collect()))
}

fn signature(mut answer: Vec<u8>) -> Result<Vec<u8>, HookError> {
    match answer.first() {
        Some(0) => Ok(answer.split_off(1)),
        _ => Err(format!(
            "the signer: {}",
            String::from_utf8_lossy(answer.get(1..).unwrap_or_default())
        )
        .into()),
    }
}

impl PrivateKey for RemoteKey {
    fn schemes(&self) -> &[SignatureScheme] {
        &self.schemes
    }

    fn sign<'a>(
        &'a self,
        scheme: SignatureScheme,
        message: &'a [u8],
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Vec<u8>, HookError>> {
        Answer::later(self.ask(scheme, message))
    }
}

impl fmt::Debug for RemoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteKey({})", self.socket.display())
    }
}

async fn send(stream: &mut UnixStream, parts: &[&[u8]]) -> io::Result<()> {
    let body = parts.concat();
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes()[..], &body].concat())
        .await
}

async fn receive(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await? as usize;
    if length > MAX_LENGTH {
        return Err(io::Error::other(format!("a message of {length} bytes")));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}
