//! The one conversion to `io::Error`.

use std::io;

use super::{Error, ErrorKind, Misuse};

impl From<Error> for io::Error {
    /// The kind tells what a caller can do about it, the source is the error itself. A failed transport stays the error
    /// that it was.
    ///
    /// | kind | what |
    /// | --- | --- |
    /// | that of the transport | [`ErrorKind::Link`] |
    /// | `UnexpectedEof` | [`ErrorKind::Truncated`] |
    /// | `ConnectionAborted` | [`ErrorKind::AlertReceived`] |
    /// | `BrokenPipe` | [`Misuse::WriteClosed`] |
    /// | `InvalidInput` | [`ErrorKind::Misuse`] otherwise |
    /// | `PermissionDenied` | [`ErrorKind::Refused`] |
    /// | `Other` | [`ErrorKind::Hook`], [`ErrorKind::Crypto`] |
    /// | `InvalidData` | all others: what the peer sent is not good |
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Link(_) => match error.into_kind() {
                ErrorKind::Link(error) => return error,
                other => return Self::other(other.to_string()),
            },
            ErrorKind::Truncated => io::ErrorKind::UnexpectedEof,
            ErrorKind::AlertReceived(_) => io::ErrorKind::ConnectionAborted,
            ErrorKind::Misuse(Misuse::WriteClosed) => io::ErrorKind::BrokenPipe,
            ErrorKind::Misuse(_) => io::ErrorKind::InvalidInput,
            ErrorKind::Refused(_) => io::ErrorKind::PermissionDenied,
            ErrorKind::Hook { .. } | ErrorKind::Crypto(_) => io::ErrorKind::Other,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::AlertDescription;

    #[test]
    fn an_error_of_the_transport_stays_what_it_was() {
        let reset = io::Error::new(io::ErrorKind::ConnectionReset, "by the peer");
        let error = io::Error::from(Error::new(ErrorKind::Link(reset)));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(error.to_string(), "by the peer");
    }

    #[test]
    fn the_source_is_the_error_itself() {
        let error = io::Error::from(Error::new(ErrorKind::AlertReceived(AlertDescription::UNKNOWN_CA)));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        let source = error.get_ref().and_then(|source| source.downcast_ref::<Error>());
        assert!(matches!(
            source.map(Error::kind),
            Some(ErrorKind::AlertReceived(AlertDescription::UNKNOWN_CA))
        ));
    }
}
