//! IMAP's STARTTLS (RFC 9051, sections 6.1.1 and 6.2.1; RFC 2595, section 3).

use tokio::io::{AsyncRead, AsyncWrite};

use super::Error;
use super::dialogue::Dialogue;

pub(super) async fn negotiate<S>(dialogue: &mut Dialogue<'_, S>) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let greeting = dialogue.line("a greeting").await?;
    let mut words = greeting.split(' ');
    match (words.next(), words.next().map(str::to_ascii_uppercase).as_deref()) {
        (Some("*"), Some("OK")) => {}
        // Section 11.1 of RFC 9051: with PREAUTH somebody on the way would skip STARTTLS.
        (Some("*"), Some("PREAUTH")) => {
            return Err(Error::NotOffered {
                by: "it greets with PREAUTH, after which there is no STARTTLS",
            });
        }
        (Some("*"), Some("BYE")) => {
            return Err(Error::Refused {
                what: "the connection",
                answer: greeting,
            });
        }
        _ => {
            return Err(Error::Unexpected {
                awaited: "a greeting",
                answer: greeting,
            });
        }
    }

    let mut is_offered = false;
    dialogue.send(b"a1 CAPABILITY\r\n").await?;
    read_response(dialogue, "a1", "CAPABILITY", |untagged| {
        let mut words = untagged.split(' ');
        if words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("CAPABILITY"))
        {
            is_offered |= words.any(|word| word.eq_ignore_ascii_case("STARTTLS"));
        }
    })
    .await?;
    if !is_offered {
        return Err(Error::NotOffered {
            by: "no STARTTLS among its capabilities",
        });
    }

    dialogue.send(b"a2 STARTTLS\r\n").await?;
    read_response(dialogue, "a2", "STARTTLS", |_| {}).await
}

/// Reads to the line with this tag, which must say OK; the lines before are handed on without their `* `.
async fn read_response<S>(
    dialogue: &mut Dialogue<'_, S>,
    tag: &str,
    command: &'static str,
    mut untagged: impl FnMut(&str),
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let awaited = "a response of IMAP";
    loop {
        let line = dialogue.line(awaited).await?;
        let (first, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let status = rest.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        if first == "*" && status == "BYE" {
            return Err(Error::Refused {
                what: command,
                answer: line,
            });
        }
        if first == "*" {
            untagged(rest);
            continue;
        }
        return match status.as_str() {
            "OK" if first == tag => Ok(()),
            "NO" | "BAD" if first == tag => Err(Error::Refused {
                what: command,
                answer: line,
            }),
            _ => Err(Error::Unexpected {
                awaited,
                answer: line,
            }),
        };
    }
}
