//! Hellos by hand: a ClientHello taken apart and put together again, and the plaintext answers of a server.

/// The random of a HelloRetryRequest.
pub const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A record around this content.
#[must_use]
pub fn record(content_type: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![content_type, 3, 3];
    put(&mut record, 2, content);
    record
}

/// The records in these bytes: type and content.
#[must_use]
pub fn records(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let end = 5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
        records.push((bytes[0], bytes[5..end].to_vec()));
        bytes = &bytes[end..];
    }
    records
}

/// A ClientHello or ServerHello in pieces that can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// 1 for a ClientHello, 2 for a ServerHello or HelloRetryRequest.
    pub message_type: u8,
    /// legacy_version.
    pub version: [u8; 2],
    /// random.
    pub random: [u8; 32],
    /// legacy_session_id, or its echo.
    pub session_id: Vec<u8>,
    /// cipher_suites, or the one that was chosen: code points as on the wire.
    pub suites: Vec<u8>,
    /// legacy_compression_methods, or the one that was chosen.
    pub compression: Vec<u8>,
    /// Types and contents.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl Hello {
    /// The ClientHello at the beginning of these records.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let (content_type, message) = records(bytes).swap_remove(0);
        assert_eq!((content_type, message[0]), (22, 1), "not a ClientHello");
        let mut rest = &message[4..];
        let fixed = take(&mut rest, 34);
        let session_id = take_vec(&mut rest, 1);
        let suites = take_vec(&mut rest, 2);
        let compression = take_vec(&mut rest, 1);
        let extensions = extensions(&take_vec(&mut rest, 2));
        assert!(rest.is_empty());
        Self {
            message_type: 1,
            version: fixed[..2].try_into().unwrap(),
            random: fixed[2..].try_into().unwrap(),
            session_id,
            suites,
            compression,
            extensions,
        }
    }

    /// The ServerHello at the beginning of these records, whatever follows it in its record.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn parse_server(bytes: &[u8]) -> Self {
        let (content_type, flight) = records(bytes).swap_remove(0);
        assert_eq!((content_type, flight[0]), (22, 2), "not a ServerHello");
        let message = take_vec(&mut &flight[1..], 3);
        let mut rest = &message[..];
        let fixed = take(&mut rest, 34);
        Self {
            message_type: 2,
            version: fixed[..2].try_into().unwrap(),
            random: fixed[2..].try_into().unwrap(),
            session_id: take_vec(&mut rest, 1),
            suites: take(&mut rest, 2).to_vec(),
            compression: take(&mut rest, 1).to_vec(),
            extensions: extensions(&take_vec(&mut rest, 2)),
        }
    }

    /// A good HelloRetryRequest for this ClientHello, with its first suite, asking for a group.
    #[must_use]
    pub fn retry_for(client_hello: &Self, group: Option<u16>) -> Self {
        let mut retry = Self::answer_to(client_hello, RETRY_RANDOM);
        retry
            .extensions
            .extend(group.map(|group| (51, group.to_be_bytes().to_vec())));
        retry
    }

    /// A ServerHello for this ClientHello, with its first suite, and a share that is a valid one of X25519.
    #[must_use]
    pub fn server_for(client_hello: &Self) -> Self {
        let mut hello = Self::answer_to(client_hello, [7; 32]);
        let mut share = vec![0, 29, 0, 32];
        share.extend([9; 32]);
        hello.extensions.push((51, share));
        hello
    }

    /// A ServerHello of TLS 1.2, with a suite for ECDSA and what our clients ask for.
    #[must_use]
    pub fn server12() -> Self {
        Self {
            message_type: 2,
            version: [3, 3],
            random: [7; 32],
            session_id: vec![],
            suites: vec![0xc0, 0x2b],
            compression: vec![0],
            extensions: vec![(23, vec![]), (0xff01, vec![0])],
        }
    }

    fn answer_to(client_hello: &Self, random: [u8; 32]) -> Self {
        Self {
            message_type: 2,
            version: [3, 3],
            random,
            session_id: client_hello.session_id.clone(),
            suites: client_hello.suites[..2].to_vec(),
            compression: vec![0],
            extensions: vec![(43, vec![3, 4])],
        }
    }

    /// The content of an extension.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn extension(&self, wanted: u16) -> &[u8] {
        let found = self.extensions.iter().find(|(extension, _)| *extension == wanted);
        &found.unwrap_or_else(|| panic!("no extension {wanted}")).1
    }

    /// The same with this extension in place of the one of its type, or added at the end.
    #[must_use]
    pub fn with(mut self, wanted: u16, content: &[u8]) -> Self {
        match self
            .extensions
            .iter_mut()
            .find(|(extension, _)| *extension == wanted)
        {
            Some((_, old)) => *old = content.to_vec(),
            None => self.extensions.push((wanted, content.to_vec())),
        }
        self
    }

    /// The same without this extension.
    #[must_use]
    pub fn without(mut self, wanted: u16) -> Self {
        self.extensions.retain(|(extension, _)| *extension != wanted);
        self
    }

    /// As a handshake message.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut body = self.version.to_vec();
        body.extend(self.random);
        put(&mut body, 1, &self.session_id);
        if self.message_type == 1 {
            put(&mut body, 2, &self.suites);
            put(&mut body, 1, &self.compression);
        } else {
            body.extend(&self.suites);
            body.extend(&self.compression);
        }
        let mut block = Vec::new();
        for (extension, content) in &self.extensions {
            block.extend(extension.to_be_bytes());
            put(&mut block, 2, content);
        }
        put(&mut body, 2, &block);
        let mut message = vec![self.message_type];
        put(&mut message, 3, &body);
        message
    }

    /// As one record.
    #[must_use]
    pub fn record(&self) -> Vec<u8> {
        record(22, &self.message())
    }
}

fn extensions(mut block: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut extensions = Vec::new();
    while !block.is_empty() {
        let extension = u16::from_be_bytes(take(&mut block, 2).try_into().unwrap());
        extensions.push((extension, take_vec(&mut block, 2)));
    }
    extensions
}

fn put(out: &mut Vec<u8>, prefix: usize, content: &[u8]) {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    out.extend(&length[4 - prefix..]);
    out.extend(content);
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (head, tail) = rest.split_at(length);
    *rest = tail;
    head
}

fn take_vec(rest: &mut &[u8], prefix: usize) -> Vec<u8> {
    let length = take(rest, prefix)
        .iter()
        .fold(0, |length, byte| length << 8 | usize::from(*byte));
    take(rest, length).to_vec()
}
