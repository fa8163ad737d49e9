//! Checks that hold for every message.

use core::fmt::Debug;

use super::{HEADER_LEN, Message, decode_message, encode_message};
use crate::wire::Problem;

/// How far one prefix, or one flipped bit, is from the next that is tried. Under Miri each takes some milliseconds.
const STRIDE: usize = if cfg!(miri) { 499 } else { 1 };

/// Bytes from hexadecimal digits; white space is skipped.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let value = |digit: char| digit.to_digit(16).expect("a hexadecimal digit") as u8;
    assert!(digits.len().is_multiple_of(2), "digits come in pairs");
    digits
        .chunks(2)
        .map(|pair| value(pair[0]) << 4 | value(pair[1]))
        .collect()
}

/// Checks that the message is read as it was written, and all of [`check_body`].
#[track_caller]
pub(super) fn check_message<M: Message + PartialEq + Debug>(message: &M, whole: &[usize]) {
    let mut bytes = Vec::new();
    encode_message(message, &mut bytes);
    let (header, body) = bytes.split_at(HEADER_LEN);
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    assert_eq!(header, [M::TYPE.0, len[1], len[2], len[3]]);
    assert_eq!(decode_message::<M>(body).as_ref(), Ok(message));
    check_body::<M>(body, whole);
}

/// Checks that every proper prefix of a valid body is refused (but those of the lengths `whole`, which are valid
/// too), that a byte more is refused, and that no flip of a bit makes reading or writing panic.
#[track_caller]
pub(super) fn check_body<M: Message + Debug>(body: &[u8], whole: &[usize]) {
    assert!(decode_message::<M>(body).is_ok());
    for len in (0..body.len()).step_by(STRIDE) {
        let read = decode_message::<M>(&body[..len]);
        assert_eq!(
            read.is_ok(),
            whole.contains(&len),
            "the first {len} bytes give {read:?}"
        );
    }

    let mut body = body.to_vec();
    body.push(0);
    let error = decode_message::<M>(&body).expect_err("a byte more is refused");
    assert_eq!(
        (error.problem, error.offset),
        (Problem::TrailingBytes, body.len() - 1)
    );
    body.pop();

    for bit in (0..body.len() * 8).step_by(STRIDE) {
        body[bit / 8] ^= 1 << (bit % 8);
        if let Ok(message) = decode_message::<M>(&body) {
            encode_message(&message, &mut Vec::new());
        }
        body[bit / 8] ^= 1 << (bit % 8);
    }
}
