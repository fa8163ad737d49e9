//! The command line.

use core::time::Duration;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::capture::CaptureArguments;
use crate::identity::IdentityArguments;
use crate::manual::{CompletionsArguments, ManArguments};
use crate::protocol::ProtocolArguments;
use crate::serve::metrics::MetricsArguments;
use crate::sessions::SessionArguments;
use crate::starttls;
use crate::transcript::TranscriptArguments;

/// TLS 1.3 and 1.2 by hand: serve and connect, and see what was negotiated.
#[derive(Debug, Parser)]
#[command(name = "tls", version, after_help = ENVIRONMENT, propagate_version = true)]
#[command(subcommand_required = true, arg_required_else_help = false)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Accept TLS connections, and answer with what was negotiated
    Serve(ServeArguments),
    /// Open a TLS connection, show what was negotiated, and join it with stdin and stdout
    Connect(ConnectArguments),
    /// Accept TLS connections, and write down each ClientHello as a line of JSON
    Capture(CaptureArguments),
    /// Write whole connections down, show what is in them, and play them again
    Transcript(TranscriptArguments),
    /// Print what a shell needs to complete the command's options
    #[command(hide = true)]
    Completions(CompletionsArguments),
    /// Print a page of the manual, or write all of them
    #[command(hide = true)]
    Man(ManArguments),
}

const ENVIRONMENT: &str = "\
Environment:
  SSLKEYLOGFILE  Append the secrets of each connection to this file, for Wireshark and the like
  NO_COLOR       No colours in this help; there are none either where it does not go to a terminal
  RUST_LOG       Show events of the libraries on stderr, for example RUST_LOG=debug [default: tls_redis=info]";

const SERVE_EXAMPLES: &str = "\
Without --cert a development CA is made, and with it a certificate for localhost, 127.0.0.1, ::1 and the address \
listened on. The CA is new with each start, its key is never written down, and its certificate is removed at the end.

Examples:
  tls serve
  tls serve --listen 0.0.0.0:443 --cert chain.pem --key key.pem
  tls serve --echo --once
  tls serve --root public --h2
  tls serve --client-ca clients.pem --require-client-cert
  tls serve --stateful --max-version 1.2
  tls serve --cert chain.pem --key key.pem --client-ca clients.pem --require-client-cert --reload
  tls serve --redis redis://127.0.0.1/ --store-key store.key
  tls serve --max-version 1.2 --suite TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 --group secp256r1,x25519

A fleet shares one Redis, one store key (umask 077; openssl rand -hex 32 > store.key), one certificate and the same \
options. Redis must not evict, and needs to be trusted with nothing else: what is stored is sealed.

SSLKEYLOGFILE is honoured. Ctrl-C or SIGTERM stops: no new connections, those that are open may end (--drain), and a \
second signal stops at once.";

/// `tls serve`
#[derive(Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
#[command(group(ArgGroup::new("mode").args(["http", "echo", "root"])))]
pub(crate) struct ServeArguments {
    /// Listen on this address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    pub(crate) listen: String,

    /// Answer HTTP/1.1 (the default): `/` is a page, `/json` the same as JSON, `/keyupdate` asks for new keys first
    #[arg(long)]
    pub(crate) http: bool,

    /// Return each line as it came, in one record
    #[arg(long)]
    pub(crate) echo: bool,

    /// Serve the files below this directory; index.html for a directory, and no listings. Symbolic links are followed
    #[arg(long, value_name = "DIR", conflicts_with_all = ["once", "early_data"])]
    pub(crate) root: Option<PathBuf>,

    /// With --root, offer HTTP/2 before HTTP/1.1
    #[arg(long, requires = "root", conflicts_with = "alpn")]
    pub(crate) h2: bool,

    /// Application protocols, best first, separated by commas; '' for none [default: http/1.1, with --echo none]
    #[arg(long, value_name = "PROTOCOLS", value_delimiter = ',')]
    pub(crate) alpn: Option<Vec<String>>,

    /// Serve one connection, then end; with an exit code other than 0 if it failed
    #[arg(long)]
    pub(crate) once: bool,

    /// How long a handshake may take; 0 for no limit
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Limit,

    /// When told to stop, how long open connections may take to end; 0 to end them at once
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) drain: Limit,

    #[command(flatten)]
    pub(crate) metrics: MetricsArguments,

    #[command(flatten)]
    pub(crate) identity: IdentityArguments,

    #[command(flatten)]
    pub(crate) sessions: SessionArguments,

    #[command(flatten)]
    pub(crate) protocol: ProtocolArguments,
}

const CONNECT_EXAMPLES: &str = "\
What was negotiated is shown on stderr. Then what comes from stdin is sent, and what is received goes to stdout. At the \
end of stdin our side is closed with close_notify; the command ends when the peer closes too, and says how it did: \
with close_notify (exit code 0), or without (truncated, reset, timed out).

Examples:
  tls connect example.com:443
  tls connect localhost:8443 --ca ca.pem
  tls connect localhost:8443 --ca ca.pem --cert me.pem --key my.key
  tls connect 192.0.2.1:443 --name example.com --alpn h2,http/1.1 --json
  tls connect example.com:443 --max-version 1.2
  tls connect example.com:443 --resume 3
  tls connect example.com:443 --resume 1 --early-data request.txt
  tls connect mail.example.com:25 --starttls smtp

SSLKEYLOGFILE is honoured.";

/// `tls connect`
#[derive(Debug, Args)]
#[command(after_help = CONNECT_EXAMPLES)]
pub(crate) struct ConnectArguments {
    /// The server. (The help is no doc comment: rustdoc would take the address for a link.)
    #[arg(value_name = "HOST:PORT", value_parser = target, help = "The server; IPv6 addresses in brackets: [::1]:8443")]
    pub(crate) target: Target,

    /// Trust the roots in this PEM file [default: the platform's; where it has none, Mozilla's as of this build]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,

    /// Accept any certificate: whoever is on the way can read and change everything
    #[arg(long)]
    pub(crate) insecure: bool,

    /// The certificate chain to present to a server that asks for one, as PEM: ours, then its issuers
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of the certificate as PEM (PKCS#8, SEC1 or PKCS#1)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// The name to ask for and to check the certificate against [default: the host]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Application protocols to offer, best first, separated by commas [default: none]
    #[arg(long, value_name = "PROTOCOLS", value_delimiter = ',')]
    pub(crate) alpn: Option<Vec<String>>,

    /// Ask for TLS in the plain text of this protocol first
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) starttls: Option<starttls::Protocol>,

    /// Print what was negotiated as one JSON object on stdout, close, and end
    #[arg(long)]
    pub(crate) json: bool,

    /// Connect so many times more, each time with a session of before, and show which handshakes were resumed and how
    /// long each took; only the last connection is joined with stdin and stdout
    #[arg(long, value_name = "N")]
    pub(crate) resume: Option<u16>,

    /// Send this file as early data (0-RTT) on each reconnection whose session allows it; what the server does not accept
    /// is sent after the handshake. Whoever records it can send it again
    #[arg(long, value_name = "FILE", requires = "resume")]
    pub(crate) early_data: Option<PathBuf>,

    /// How long connecting may take (--starttls included), and then the handshake; 0 for no limit
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Limit,

    /// How long to wait, once our side is closed and nothing comes any more, for the peer to close; 0 for no limit
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) close_timeout: Limit,

    #[command(flatten)]
    pub(crate) protocol: ProtocolArguments,
}

/// A time limit, or none. (clap would read an `Option` as "may be left out".)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<Duration>);

pub(crate) fn seconds(text: &str) -> Result<Limit, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    let limit = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    Ok(Limit((!limit.is_zero()).then_some(limit)))
}

/// A host, by name or address (without brackets), and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
}

pub(crate) fn target(text: &str) -> Result<Target, String> {
    let (host, port) = text.rsplit_once(':').ok_or("a port is missing: HOST:PORT")?;
    let port = port.parse().map_err(|_| format!("{port:?} is not a port"))?;
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .ok_or("the bracket is not closed: [ADDRESS]:PORT")?,
        None if host.contains(':') => return Err("IPv6 addresses go in brackets: [ADDRESS]:PORT".to_owned()),
        None => host,
    };
    if bare.is_empty() {
        return Err("the host is missing: HOST:PORT".to_owned());
    }
    Ok(Target {
        host: bare.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use clap::{CommandFactory as _, Parser as _};

    use super::{Arguments, Limit, Target, seconds, target};

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_target_is_a_host_and_a_port() {
        let parsed = |host: &str, port| {
            Ok(Target {
                host: host.to_owned(),
                port,
            })
        };
        assert_eq!(target("localhost:8443"), parsed("localhost", 8443));
        assert_eq!(target("127.0.0.1:1"), parsed("127.0.0.1", 1));
        assert_eq!(target("[::1]:443"), parsed("::1", 443));
        for wrong in [
            "localhost",
            "localhost:",
            ":443",
            "[]:443",
            "::1:443",
            "[::1:443",
            "h:65536",
            "h:x",
            "",
        ] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn zero_seconds_are_no_limit() {
        assert_eq!(seconds("0"), Ok(Limit(None)));
        assert_eq!(seconds("0.5"), Ok(Limit(Some(Duration::from_millis(500)))));
        for wrong in ["-1", "x", "nan", "inf", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for wrong in [
            &["tls"][..],
            &["tls", "serve", "--http", "--echo"],
            &["tls", "serve", "--cert", "a"],
            &["tls", "serve", "--key", "a"],
            &["tls", "connect", "a:1", "--ca", "a", "--insecure"],
            &["tls", "connect", "a:1", "--suite", ""],
            &["tls", "connect", "a:1", "--cert", "a"],
            &["tls", "connect", "a:1", "--key", "a"],
            &["tls", "serve", "--require-client-cert"],
            &["tls", "serve", "--h2"],
            &["tls", "serve", "--root", "a", "--echo"],
            &["tls", "serve", "--root", "a", "--once"],
            &["tls", "serve", "--root", "a", "--early-data", "100"],
            &["tls", "serve", "--root", "a", "--h2", "--alpn", "h2"],
            &["tls", "connect", "a:1", "--starttls", "pop3"],
        ] {
            assert!(Arguments::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
