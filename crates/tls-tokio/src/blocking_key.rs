//! Keys whose signing blocks, off the runtime's threads.

use core::fmt;
use std::sync::Arc;

use tls_core::{Answer, ConnectionContext, HookError, PrivateKey, SignatureScheme, SigningKey};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// A key that blocks the thread while it signs: a PKCS #11 token, a command that is run, a large RSA key. Made a
/// [`PrivateKey`] by [`BlockingKey`].
///
/// ```
/// use tls_tokio::tls_core::HookError;
/// use tls_tokio::{SignBlocking, SignatureScheme};
///
/// /// A key in a token, whose driver blocks.
/// #[derive(Debug)]
/// struct Token;
///
/// impl SignBlocking for Token {
///     fn schemes(&self) -> &[SignatureScheme] {
///         &[SignatureScheme::RSA_PSS_RSAE_SHA256]
///     }
///
///     fn sign(&self, _: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, HookError> {
///         ask_the_token(message)
///     }
/// }
/// # fn ask_the_token(_: &[u8]) -> Result<Vec<u8>, HookError> { Err("it was pulled out".into()) }
/// ```
pub trait SignBlocking: fmt::Debug + Send + Sync + 'static {
    /// The schemes this key can sign with, best first: the same each time.
    fn schemes(&self) -> &[SignatureScheme];

    /// Signs `message` (not its hash) with `scheme`, one of [`Self::schemes`]. For ECDSA the signature is DER encoded
    /// (section 4.2.3). Runs on a thread of its own: it may block, and a panic is an error of this handshake alone.
    ///
    /// # Errors
    /// Whatever goes wrong; it fails the handshake.
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, HookError>;
}

/// A key in memory, so that RSA (0.4 to 2.4 ms per signature) does not hold up a thread of the runtime. The others sign
/// in the time that it takes to change threads.
impl SignBlocking for SigningKey {
    fn schemes(&self) -> &[SignatureScheme] {
        Self::schemes(self)
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, HookError> {
        Self::sign(self, scheme, message).map_err(HookError::from)
    }
}

/// Signs with a key that blocks, on the threads of [`tokio::task::spawn_blocking`], so many signatures at a time at
/// most. Needs to be polled on a Tokio runtime.
///
/// Waiting for a turn and for the signature is part of the handshake and under its deadline. A handshake that is
/// dropped gives up its turn; a signature that is already being made cannot be stopped, is thrown away, and counts until
/// it is made. Each signature is checked against the certificate before it is sent.
///
/// ```
/// use std::sync::Arc;
/// use tls_tokio::tls_core::SigningKey;
/// use tls_tokio::{BlockingKey, CertificateDer, CertifiedKey, PrivateKeyDer};
///
/// # fn example(
/// #     chain: Vec<CertificateDer<'static>>,
/// #     rsa: PrivateKeyDer<'static>,
/// # ) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
/// let key = BlockingKey::new(Arc::new(SigningKey::from_der(&rsa)?), 4);
/// Ok(CertifiedKey::new(chain, Arc::new(key))?)
/// # }
/// ```
pub struct BlockingKey {
    key: Arc<dyn SignBlocking>,
    turns: Arc<Semaphore>,
    max_concurrent: usize,
}

impl BlockingKey {
    /// Signs with this key on at most `max_concurrent` threads at a time, and at least on one.
    #[must_use]
    pub fn new(key: Arc<dyn SignBlocking>, max_concurrent: usize) -> Self {
        let max_concurrent = max_concurrent.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            key,
            turns: Arc::new(Semaphore::new(max_concurrent)),
            max_concurrent,
        }
    }

    async fn sign_elsewhere(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, HookError> {
        let runtime = Handle::try_current()?;
        let turn = Arc::clone(&self.turns).acquire_owned().await?;
        let (key, message) = (Arc::clone(&self.key), message.to_vec());
        // The turn goes with the work and not with the handshake: it is over when the thread is free.
        let work = runtime.spawn_blocking(move || {
            let _turn = turn;
            key.sign(scheme, &message)
        });
        match Signing(work).join().await {
            Ok(signed) => signed,
            Err(error) if error.is_panic() => Err("the key panicked".into()),
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Debug for BlockingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingKey")
            .field("key", &self.key)
            .field("max_concurrent", &self.max_concurrent)
            .finish()
    }
}

impl PrivateKey for BlockingKey {
    fn schemes(&self) -> &[SignatureScheme] {
        self.key.schemes()
    }

    fn sign<'a>(
        &'a self,
        scheme: SignatureScheme,
        message: &'a [u8],
        _: &'a ConnectionContext,
    ) -> Answer<'a, Result<Vec<u8>, HookError>> {
        Answer::later(self.sign_elsewhere(scheme, message))
    }
}

/// Work that need not begin any more when nobody waits for it.
struct Signing(JoinHandle<Result<Vec<u8>, HookError>>);

impl Signing {
    async fn join(mut self) -> Result<Result<Vec<u8>, HookError>, tokio::task::JoinError> {
        (&mut self.0).await
    }
}

impl Drop for Signing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, PoisonError};

    use tokio::time::timeout;

    use super::*;

    /// Signs when it is told to; counts how many do so at once.
    #[derive(Debug)]
    struct Slow {
        go: Mutex<Receiver<()>>,
        running: AtomicUsize,
        most: AtomicUsize,
        asked: AtomicUsize,
    }

    impl Slow {
        fn new() -> (Arc<Self>, Sender<()>) {
            let (tell, go) = channel();
            let slow = Self {
                go: Mutex::new(go),
                running: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
                asked: AtomicUsize::new(0),
            };
            (Arc::new(slow), tell)
        }

        async fn until_asked(&self, times: usize) {
            let asked = async {
                while self.asked.load(Ordering::SeqCst) < times {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(Duration::from_secs(20), asked)
                .await
                .expect("it is asked");
        }
    }

    impl SignBlocking for Slow {
        fn schemes(&self) -> &[SignatureScheme] {
            &[SignatureScheme::ED25519]
        }

        fn sign(&self, _: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, HookError> {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            self.asked.fetch_add(1, Ordering::SeqCst);
            let told = self.go.lock().unwrap_or_else(PoisonError::into_inner).recv();
            self.running.fetch_sub(1, Ordering::SeqCst);
            match message {
                b"panic" => panic!("as the test wants it"),
                b"refuse" => Err("no".into()),
                _ => Ok(told.map(|()| message.to_vec())?),
            }
        }
    }

    async fn sign(key: &BlockingKey, message: &[u8]) -> Result<Vec<u8>, HookError> {
        let context = ConnectionContext::new();
        match key.sign(SignatureScheme::ED25519, message, &context) {
            Answer::Now(answer) => answer,
            Answer::Later(answer) => answer.await,
        }
    }

    #[tokio::test]
    async fn no_more_sign_at_once_than_allowed_and_the_runtime_goes_on_meanwhile() {
        let (slow, tell) = Slow::new();
        let key = Arc::new(BlockingKey::new(Arc::clone(&slow) as _, 3));
        let signatures: Vec<_> = (0..12u8)
            .map(|number| {
                let key = Arc::clone(&key);
                tokio::spawn(async move { sign(&key, &[number]).await })
            })
            .collect();
        // On the one thread of this runtime: it is free while three signatures wait.
        slow.until_asked(3).await;
        for _ in 0..12 {
            tell.send(()).unwrap();
        }
        for (number, signature) in signatures.into_iter().enumerate() {
            assert_eq!(signature.await.unwrap().unwrap(), [number as u8]);
        }
        assert_eq!(slow.most.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_panic_and_a_refusal_are_errors_and_the_key_goes_on() {
        let (slow, tell) = Slow::new();
        let key = BlockingKey::new(slow, 1);
        for (message, expected) in [
            (&b"panic"[..], "the key panicked"),
            (b"refuse", "no"),
            (b"panic", "the key panicked"),
        ] {
            tell.send(()).unwrap();
            let error = sign(&key, message).await.unwrap_err();
            assert!(format!("{error:?}").contains(expected), "{error:?}");
        }
        tell.send(()).unwrap();
        assert_eq!(sign(&key, b"message").await.unwrap(), b"message");
    }

    #[tokio::test]
    async fn a_signature_that_nobody_waits_for_gives_its_turn_back() {
        let (slow, tell) = Slow::new();
        let key = Arc::new(BlockingKey::new(Arc::clone(&slow) as _, 1));
        let spawn = |message: &'static [u8]| {
            let key = Arc::clone(&key);
            tokio::spawn(async move { sign(&key, message).await })
        };
        let running = spawn(b"one");
        slow.until_asked(1).await;
        let waiting = spawn(b"two");
        tokio::task::yield_now().await;
        for dropped in [running, waiting] {
            dropped.abort();
            assert!(dropped.await.unwrap_err().is_cancelled());
        }
        // The thread of the first is still busy: it is not dropped with whoever waited.
        assert_eq!(key.turns.available_permits(), 0);
        tell.send(()).unwrap();
        tell.send(()).unwrap();
        let third = timeout(Duration::from_secs(20), sign(&key, b"three")).await;
        assert_eq!(third.unwrap().unwrap(), b"three");
        assert_eq!(slow.asked.load(Ordering::SeqCst), 2, "the second was never begun");
        assert_eq!(key.turns.available_permits(), 1);
    }

    #[test]
    fn a_signature_that_waits_for_a_thread_is_not_begun_when_nobody_waits_for_it() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .enable_time()
            .build()
            .unwrap();
        let (slow, tell) = Slow::new();
        tell.send(()).unwrap();
        tell.send(()).unwrap();
        runtime.block_on(async {
            let (free_the_thread, busy) = channel::<()>();
            let other = tokio::task::spawn_blocking(move || busy.recv());
            let key = BlockingKey::new(Arc::clone(&slow) as _, 1);
            assert!(
                timeout(Duration::from_millis(1), sign(&key, b"late"))
                    .await
                    .is_err()
            );
            assert_eq!(key.turns.available_permits(), 0, "it was queued");
            drop(free_the_thread);
            other.await.unwrap().unwrap_err();
            assert_eq!(sign(&key, b"next").await.unwrap(), b"next");
        });
        assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn without_a_runtime_it_is_an_error() {
        let (slow, _tell) = Slow::new();
        let key = BlockingKey::new(slow, 0);
        assert_eq!(key.max_concurrent, 1);
        let error = tokio_test::task::spawn(sign(&key, b"message")).poll();
        assert!(matches!(error, core::task::Poll::Ready(Err(_))), "{error:?}");
    }
}
