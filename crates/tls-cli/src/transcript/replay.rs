//! `tls transcript replay`: one side of a recorded connection, said again byte for byte.

use std::io;

use tls_transcript::{Event, What, direction};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{ReplayArguments, read};
use crate::args::Target;
use crate::console;
use crate::failure::Failure;

pub(super) async fn run(arguments: ReplayArguments) -> Result<(), Failure> {
    let recording = read(&arguments.file)?;
    let number = arguments.connection;
    let events = number
        .checked_sub(1)
        .and_then(|place| recording.connections.get(place));
    let events = events.ok_or_else(|| {
        let count = recording.connections.len();
        Failure::misuse(format!("there is no connection {number} among {count}"))
    })?;
    let (mut socket, is_client) = match (&arguments.connect, &arguments.listen) {
        (Some(Target { host, port }), _) => {
            let socket = TcpStream::connect((host.as_str(), *port)).await;
            let failed = |error| Failure::new(format!("cannot connect to {host} port {port}: {error}"));
            (socket.map_err(failed)?, true)
        }
        (None, listen) => {
            let listen = listen.as_deref().unwrap_or("127.0.0.1:0");
            let failed = |error: io::Error| Failure::new(format!("cannot listen on {listen}: {error}"));
            let listener = TcpListener::bind(listen).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            console::say(format_args!("listening on {address}"));
            (listener.accept().await.map_err(failed)?.0, false)
        }
    };
    for event in events {
        let said = direction(event.from_client);
        if event.from_client == is_client {
            say(&mut socket, event)
                .await
                .map_err(|error| Failure::new(format!("{said}: {error}")))?;
        } else {
            let heard = hear(&mut socket, event);
            let heard = match arguments.timeout.0 {
                Some(limit) => tokio::time::timeout(limit, heard).await.unwrap_or_else(|_| {
                    Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("nothing within {limit:?}"),
                    ))
                }),
                None => heard.await,
            };
            let heard = heard.map_err(|error| Failure::new(format!("{said}: {error}")))?;
            console::say(format_args!("{said}: {heard}"));
        }
    }
    Ok(())
}

async fn say(socket: &mut TcpStream, event: &Event) -> io::Result<()> {
    match &event.what {
        What::Bytes(bytes) => {
            socket.write_all(bytes).await?;
            console::say(format_args!(
                "{}: {} bytes said",
                direction(event.from_client),
                bytes.len()
            ));
            Ok(())
        }
        What::End | What::Reset => socket.shutdown().await,
    }
}

/// Waits for as many bytes as were recorded, and says how they compare.
async fn hear(socket: &mut TcpStream, event: &Event) -> io::Result<String> {
    let What::Bytes(bytes) = &event.what else {
        let more = socket.read(&mut [0]).await;
        return Ok(match more {
            Ok(0) => "the end, as recorded".to_owned(),
            Ok(_) => "more, where the recording ends".to_owned(),
            Err(error) => error.to_string(),
        });
    };
    let mut got = vec![0; bytes.len()];
    socket.read_exact(&mut got).await?;
    let differs = bytes.iter().zip(&got).position(|(recorded, now)| recorded != now);
    let count = got.len();
    Ok(match differs {
        None => format!("{count} bytes, as recorded"),
        Some(at) => format!("{count} bytes, other than recorded from byte {at} on"),
    })
}
