//! Tests that run for both protocol versions.

use tls_core::{ClientConfigBuilder, ProtocolVersion, ServerConfigBuilder};

/// Both, older first.
pub const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::TLS12, ProtocolVersion::TLS13];

/// A configuration that speaks one version only.
pub trait Only {
    /// The same with this version alone.
    #[must_use]
    fn only(self, version: ProtocolVersion) -> Self;
}

impl Only for ClientConfigBuilder {
    fn only(self, version: ProtocolVersion) -> Self {
        self.min_version(version).max_version(version)
    }
}

impl Only for ServerConfigBuilder {
    fn only(self, version: ProtocolVersion) -> Self {
        self.min_version(version).max_version(version)
    }
}

/// Makes two tests of each of these functions, which take the version: in modules `tls12` and `tls13`. With `async`
/// in front they run on Tokio with its clock paused, with `real async` on a clock that runs.
#[macro_export]
macro_rules! both_versions {
    (async $($test:ident),* $(,)?) => {
        $crate::both_versions!(@modules [tokio::test(start_paused = true)] [async] [.await] $($test)*);
    };
    (real async $($test:ident),* $(,)?) => {
        $crate::both_versions!(@modules [tokio::test] [async] [.await] $($test)*);
    };
    ($($test:ident),* $(,)?) => {
        $crate::both_versions!(@modules [test] [] [] $($test)*);
    };
    (@modules $attribute:tt $async:tt $await:tt $($test:ident)*) => {
        mod tls12 {
            $($crate::both_versions!(@one $attribute $async $await $test TLS12);)*
        }
        mod tls13 {
            $($crate::both_versions!(@one $attribute $async $await $test TLS13);)*
        }
    };
    (@one [$($attribute:tt)*] [$($async:tt)*] [$($await:tt)*] $test:ident $version:ident) => {
        #[$($attribute)*]
        $($async)* fn $test() {
            super::$test(tls_core::ProtocolVersion::$version) $($await)*;
        }
    };
}
