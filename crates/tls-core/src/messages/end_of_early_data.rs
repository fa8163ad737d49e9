//! EndOfEarlyData (section 4.5).

use crate::registry::HandshakeType;
use crate::wire::{BadBytes, Reader};

use super::Message;

/// The last message under the client's early traffic keys. It is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndOfEarlyData;

impl Message for EndOfEarlyData {
    const TYPE: HandshakeType = HandshakeType::END_OF_EARLY_DATA;

    fn decode(_body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        Ok(Self)
    }

    fn encode(&self, _out: &mut Vec<u8>) {}
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_message;
    use super::*;

    #[test]
    fn it_is_empty() {
        check_message(&EndOfEarlyData, &[]);
    }
}
