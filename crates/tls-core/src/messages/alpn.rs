//! Application protocol names (RFC 7301).

use crate::registry::ExtensionType;
use crate::wire::{BadBytes, Prefixed8, Prefixed16, Problem, Put, Reader};

use super::extensions::extension;

/// A list of protocol names in order of preference, in one allocation: as on the wire, without the outer length.
/// It has at least one name, and each has 1 to 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProtocolNames {
    wire: Vec<u8>,
}

impl ProtocolNames {
    /// `None` for an empty list, a name that is empty or longer than 255 bytes, or more than 65,533 bytes in all.
    pub(crate) fn new<N: AsRef<[u8]>>(names: impl IntoIterator<Item = N>) -> Option<Self> {
        let mut wire = Vec::new();
        for name in names {
            let name = name.as_ref();
            let len = u8::try_from(name.len()).ok().filter(|len| *len > 0)?;
            wire.put_u8(len);
            wire.put(name);
        }
        (!wire.is_empty() && wire.len() <= usize::from(u16::MAX) - 2).then_some(Self { wire })
    }

    /// The names, most preferred first.
    pub(crate) fn iter(&self) -> Names<'_> {
        Names(&self.wire)
    }

    /// Whether this name is in the list.
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.iter().any(|one| one == name)
    }

    /// The names as values of their own, for errors.
    pub(crate) fn to_vec(&self) -> Vec<Vec<u8>> {
        self.iter().map(<[u8]>::to_vec).collect()
    }

    /// Reads the content of a ClientHello's extension.
    pub(super) fn read(body: &mut Reader<'_>) -> Result<Self, BadBytes> {
        let mut list = body.vec16("ProtocolNameList")?.not_empty("ProtocolNameList")?;
        let wire = list.clone().rest().to_vec();
        while !list.is_empty() {
            list.vec8("ProtocolName")?.not_empty("ProtocolName")?;
        }
        Ok(Self { wire })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        extension(out, ExtensionType::ALPN, |out| {
            Prefixed16::new(out).put(&self.wire)
        });
    }
}

/// Iterator over protocol names; its default has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names<'a>(&'a [u8]);

impl<'a> Iterator for Names<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.0.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*len))?;
        self.0 = rest;
        Some(name)
    }
}

/// Reads a server's choice: a list of exactly one name (RFC 7301 section 3.1).
pub(super) fn read_selected(body: &mut Reader<'_>) -> Result<Vec<u8>, BadBytes> {
    let mut list = body.vec16("ProtocolNameList")?;
    let name = list
        .vec8("ProtocolName")?
        .not_empty("ProtocolName")?
        .rest()
        .to_vec();
    if list.is_empty() {
        Ok(name)
    } else {
        Err(list.error("ProtocolNameList", Problem::LengthOutOfBounds))
    }
}

/// Appends a server's choice.
pub(super) fn put_selected(out: &mut Vec<u8>, name: &[u8]) {
    extension(out, ExtensionType::ALPN, |out| {
        Prefixed8::new(&mut Prefixed16::new(out)).put(name);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_in_order() {
        let names = ProtocolNames::new(["h2", "http/1.1"]).unwrap();
        assert_eq!(names.to_vec(), [&b"h2"[..], b"http/1.1"]);
        assert!(names.contains(b"h2") && !names.contains(b"h"));
    }

    #[test]
    fn names_that_have_no_wire_form_are_refused() {
        assert_eq!(ProtocolNames::new([""; 0]), None);
        assert_eq!(ProtocolNames::new(["h2", ""]), None);
        assert_eq!(ProtocolNames::new([[0; 256]]), None);
        assert_eq!(ProtocolNames::new([[0; 255]; 256]), None);
    }

    #[test]
    fn an_empty_list_or_name_is_refused() {
        let read = |bytes| ProtocolNames::read(&mut Reader::new("test", bytes)).map_err(|bad| bad.problem);
        assert!(read(&[0, 2, 1, 7]).is_ok());
        assert_eq!(read(&[0, 0]), Err(Problem::LengthOutOfBounds));
        assert_eq!(read(&[0, 3, 1, 7, 0]), Err(Problem::LengthOutOfBounds));
        assert_eq!(read(&[0, 2, 2, 7]), Err(Problem::TooShort));
    }

    #[test]
    fn a_choice_is_exactly_one_name() {
        let read = |bytes| read_selected(&mut Reader::new("test", bytes)).map_err(|bad| bad.problem);
        assert_eq!(read(&[0, 2, 1, 7]), Ok(vec![7]));
        assert_eq!(read(&[0, 4, 1, 7, 1, 8]), Err(Problem::LengthOutOfBounds));
        assert_eq!(read(&[0, 1, 0]), Err(Problem::LengthOutOfBounds));
        assert_eq!(read(&[0, 0]), Err(Problem::TooShort));
    }
}
