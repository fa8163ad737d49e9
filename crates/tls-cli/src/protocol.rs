//! The options that say what may be negotiated, the same for both commands.

use clap::Args;
use tls_tokio::tls_core::{ClientConfigBuilder, ServerConfigBuilder};
use tls_tokio::{CipherSuite, NamedGroup, ProtocolVersion};

/// What `--suite` takes, best first.
const SUITES: [CipherSuite; 9] = [
    CipherSuite::TLS_AES_128_GCM_SHA256,
    CipherSuite::TLS_AES_256_GCM_SHA384,
    CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// What `--group` takes, best first.
const GROUPS: [NamedGroup; 5] = [
    NamedGroup::X25519MLKEM768,
    NamedGroup::X25519,
    NamedGroup::SECP256R1,
    NamedGroup::SECP384R1,
    NamedGroup::SECP521R1,
];

/// Versions, cipher suites and groups; without these options the library's defaults.
#[derive(Debug, Args)]
#[command(next_help_heading = "Protocol")]
pub(crate) struct ProtocolArguments {
    /// The oldest version to speak, 1.2 or 1.3 [default: 1.2]
    #[arg(long, value_name = "VERSION", value_parser = version)]
    min_version: Option<ProtocolVersion>,

    /// The newest version to speak, 1.2 or 1.3 [default: 1.3]
    #[arg(long, value_name = "VERSION", value_parser = version)]
    max_version: Option<ProtocolVersion>,

    /// Only these cipher suites, by their RFC names, best first, separated by commas or with the option repeated; a
    /// version that has none of them is not spoken
    #[arg(long, value_name = "SUITES", value_delimiter = ',', value_parser = suite)]
    suite: Vec<CipherSuite>,

    /// Only these groups for key exchange, by their RFC names, likewise
    #[arg(long, value_name = "GROUPS", value_delimiter = ',', value_parser = group)]
    group: Vec<NamedGroup>,
}

/// Both builders have the same methods and no trait in common.
macro_rules! apply {
    ($arguments:expr, $builder:expr) => {{
        let mut builder = $builder;
        if let Some(version) = $arguments.min_version {
            builder = builder.min_version(version);
        }
        if let Some(version) = $arguments.max_version {
            builder = builder.max_version(version);
        }
        if !$arguments.suite.is_empty() {
            builder = builder.cipher_suites($arguments.suite.iter().copied());
        }
        if !$arguments.group.is_empty() {
            builder = builder.groups($arguments.group.iter().copied());
        }
        builder
    }};
}

impl ProtocolArguments {
    pub(crate) fn client(&self, builder: ClientConfigBuilder) -> ClientConfigBuilder {
        apply!(self, builder)
    }

    pub(crate) fn server(&self, builder: ServerConfigBuilder) -> ServerConfigBuilder {
        apply!(self, builder)
    }
}

fn version(text: &str) -> Result<ProtocolVersion, String> {
    match text {
        "1.2" => Ok(ProtocolVersion::TLS12),
        "1.3" => Ok(ProtocolVersion::TLS13),
        _ => Err("1.2 and 1.3 are known".to_owned()),
    }
}

fn suite(text: &str) -> Result<CipherSuite, String> {
    known(&SUITES, CipherSuite::from_name(text))
}

fn group(text: &str) -> Result<NamedGroup, String> {
    known(&GROUPS, NamedGroup::from_name(text))
}

/// The value if it is one of these, else an error that lists them.
fn known<T: Copy + PartialEq + ToString>(all: &[T], value: Option<T>) -> Result<T, String> {
    value.filter(|value| all.contains(value)).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(ToString::to_string).collect();
        format!("known are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use tls_tokio::ClientConfig;

    use super::*;

    #[test]
    fn all_that_is_known_is_supported_and_found_by_its_name() {
        for known in SUITES {
            assert_eq!(suite(&known.to_string().to_lowercase()), Ok(known));
        }
        for known in GROUPS {
            assert_eq!(group(&known.to_string()), Ok(known));
        }
        let config = ClientConfig::builder().dangerously_accept_any_certificate();
        assert!(config.cipher_suites(SUITES).groups(GROUPS).build().is_ok());
    }

    #[test]
    fn what_is_not_known_is_refused_with_a_list() {
        for signal in ["TLS_FALLBACK_SCSV", "TLS_RSA_WITH_AES_128_CBC_SHA", ""] {
            let error = suite(signal).unwrap_err();
            assert!(error.contains("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), "{error}");
        }
        assert!(group("x448").unwrap_err().contains("secp521r1"));
        for wrong in ["1.1", "TLS", "", "1.4"] {
            assert!(version(wrong).is_err(), "{wrong}");
        }
    }
}
