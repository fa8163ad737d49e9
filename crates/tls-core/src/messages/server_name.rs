//! The server name indication (RFC 6066 section 3).

use core::net::IpAddr;

use crate::registry::ExtensionType;
use crate::wire::{BadBytes, Prefixed16, Problem, Put, Reader};

use super::extensions::extension;

const HOST_NAME: u8 = 0;

/// Reads a ClientHello's list of names and returns its host name, as it was sent.
///
/// Names of other types are passed over (they must start with a two-byte length), and so is an IP address: literal
/// ones are not permitted as a host name, but clients send them.
pub(super) fn read(body: &mut Reader<'_>) -> Result<Option<String>, BadBytes> {
    let mut list = body.vec16("ServerNameList")?.not_empty("ServerNameList")?;
    let mut found = None;
    while !list.is_empty() {
        let start = list.clone();
        let name_type = list.u8("name_type")?;
        let mut name = list.vec16("HostName")?;
        if name_type != HOST_NAME {
            continue;
        }
        if found.is_some() {
            return Err(start.error("HostName", Problem::Duplicate));
        }
        let illegal = name.error("HostName", Problem::IllegalValue);
        let host = str::from_utf8(name.rest()).map_err(|_| illegal)?;
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(illegal);
        }
        found = Some(host);
    }
    Ok(found
        .filter(|host| host.parse::<IpAddr>().is_err())
        .map(str::to_owned))
}

/// Appends the extension for a host name.
pub(super) fn put(out: &mut Vec<u8>, host: &str) {
    extension(out, ExtensionType::SERVER_NAME, |out| {
        let mut list = Prefixed16::new(out);
        list.put_u8(HOST_NAME);
        Prefixed16::new(&mut list).put(host.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_names(names: &[(u8, &[u8])]) -> Result<Option<String>, Problem> {
        let mut bytes = Vec::new();
        {
            let mut list = Prefixed16::new(&mut bytes);
            for (name_type, name) in names {
                list.put_u8(*name_type);
                Prefixed16::new(&mut list).put(name);
            }
        }
        read(&mut Reader::new("test", &bytes)).map_err(|bad| bad.problem)
    }

    #[test]
    fn the_host_name_is_found_among_names_of_other_types() {
        let names: [(u8, &[u8]); 2] = [(9, b"\0\xff"), (0, b"example.org")];
        assert_eq!(read_names(&names), Ok(Some("example.org".to_owned())));
        assert_eq!(read_names(&names[..1]), Ok(None));
    }

    #[test]
    fn a_name_that_cannot_be_a_host_name_is_refused() {
        for name in [&b""[..], b"a\0b", b"a b", b"\xc3\xa4.example", b"\xff"] {
            assert_eq!(read_names(&[(0, name)]), Err(Problem::IllegalValue), "{name:?}");
        }
        assert_eq!(read_names(&[]), Err(Problem::LengthOutOfBounds));
        assert_eq!(read_names(&[(0, b"a"), (0, b"b")]), Err(Problem::Duplicate));
    }

    #[test]
    fn an_ip_address_is_passed_over() {
        for name in [&b"192.0.2.1"[..], b"2001:db8::1"] {
            assert_eq!(read_names(&[(0, name)]), Ok(None));
        }
    }
}
