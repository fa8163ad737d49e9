//! SMTP (RFC 5321) and its STARTTLS (RFC 3207).

use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Error;
use super::dialogue::Dialogue;

pub(super) async fn negotiate<S>(dialogue: &mut Dialogue<'_, S>, own_address: IpAddr) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    read_reply(dialogue, 220, "a greeting", "the connection").await?;

    // Section 4.1.3 of RFC 5321: who has no name gives an address.
    let own_name = match own_address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    };
    dialogue.send(format!("EHLO {own_name}\r\n").as_bytes()).await?;
    let extensions = read_reply(dialogue, 250, "a reply to EHLO", "EHLO").await?;
    // The first line is the server's name. The keywords are in either case (section 2.4).
    let mut keywords = extensions.iter().skip(1);
    if !keywords.any(|keyword| keyword.eq_ignore_ascii_case("STARTTLS")) {
        return Err(Error::NotOffered {
            by: "no STARTTLS in its reply to EHLO",
        });
    }

    dialogue.send(b"STARTTLS\r\n").await?;
    read_reply(dialogue, 220, "a reply to STARTTLS", "STARTTLS").await?;
    Ok(())
}

/// The texts of a reply's lines (section 4.2), if its code is this one.
async fn read_reply<S>(
    dialogue: &mut Dialogue<'_, S>,
    code: u16,
    awaited: &'static str,
    what: &'static str,
) -> Result<Vec<String>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut texts = Vec::new();
    let mut first = None;
    loop {
        let line = dialogue.line(awaited).await?;
        let Some(reply) = Reply::parse(&line).filter(|reply| reply.code == *first.get_or_insert(reply.code))
        else {
            return Err(Error::Unexpected {
                awaited,
                answer: line,
            });
        };
        if reply.is_last && reply.code != code {
            return Err(Error::Refused { what, answer: line });
        }
        let is_last = reply.is_last;
        texts.push(reply.text.to_owned());
        if is_last {
            return Ok(texts);
        }
    }
}

/// A line of a reply.
struct Reply<'a> {
    code: u16,
    text: &'a str,
    is_last: bool,
}

impl<'a> Reply<'a> {
    /// `250-more to come`, `250 the last one`, or only `250`.
    fn parse(line: &'a str) -> Option<Self> {
        let (code, rest) = line.split_at_checked(3)?;
        let is_code = code.bytes().all(|byte| byte.is_ascii_digit());
        let (is_last, text) = match rest.as_bytes().first() {
            None => (true, rest),
            Some(b' ') => (true, rest.get(1..)?),
            Some(b'-') => (false, rest.get(1..)?),
            Some(_) => return None,
        };
        Some(Self {
            code: code.parse().ok().filter(|_| is_code)?,
            text,
            is_last,
        })
    }
}
