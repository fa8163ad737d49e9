//! The command line of `tls capture`.

use std::path::PathBuf;

use clap::Args;

use crate::args::{Limit, seconds};
use crate::protocol::ProtocolArguments;

const EXAMPLES: &str = "\
Each line has the time and the client's address, everything in its ClientHello with names and numbers, JA3 and JA4, and \
what was negotiated or why the handshake failed. A request by HTTPS is answered with the same, for that client.

Examples:
  tls capture | jq -r '[.client, .client_hello.ja4, .client_hello.server_name] | @tsv'
  tls capture --listen 0.0.0.0:8443 --out hello.jsonl --raw
  jq '.client_hello.cipher_suites[].name' hello.jsonl

Without --cert a development CA is made, as by `tls serve`. SSLKEYLOGFILE is honoured. Ctrl-C stops.";

/// `tls capture`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CaptureArguments {
    /// Listen on this address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    pub(crate) listen: String,

    /// Append the lines to this file [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Add the ClientHello's bytes, in hexadecimal digits
    #[arg(long)]
    pub(crate) raw: bool,

    /// Before a line makes the file larger than this, rename it to FILE.1, the one before to FILE.2, and so on; 0 for no
    /// limit. May end in k, M or G
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = size, requires = "out")]
    pub(crate) max_size: u64,

    /// How many of the renamed files to keep
    #[arg(long, value_name = "N", default_value = "5", requires = "out")]
    pub(crate) keep: u32,

    /// The certificate chain as PEM: the server's certificate, then its issuers, without the root
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of the certificate as PEM (PKCS#8, SEC1 or PKCS#1)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// Where to write the development CA's certificate [default: one file per port in the user's state directory]
    #[arg(long, value_name = "FILE", conflicts_with = "cert")]
    pub(crate) ca_out: Option<PathBuf>,

    /// How long a handshake may take; 0 for no limit
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Limit,

    #[command(flatten)]
    pub(crate) protocol: ProtocolArguments,
}

fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((digits, "k")) => (digits, 1 << 10),
        Some((digits, "M")) => (digits, 1 << 20),
        Some((digits, "G")) => (digits, 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| "not a number of bytes".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_may_have_a_unit() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("1000"), Ok(1000));
        assert_eq!(size("2k"), Ok(2048));
        assert_eq!(size("64M"), Ok(64 << 20));
        assert_eq!(size("1G"), Ok(1 << 30));
        for wrong in ["", "k", "-1", "1.5M", "1T", "99999999999G", "é"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
