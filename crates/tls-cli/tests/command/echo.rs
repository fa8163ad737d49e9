//! `tls serve --echo`.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::Server;

#[tokio::test]
async fn each_line_comes_back_in_one_record() {
    let server = Server::start(&["--echo"]).await;
    let mut stream = server.stream().await;
    for piece in ["one\ntw", "o", "\n\nfour\r\n", "five"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
    stream.shutdown().await.unwrap();
    for expected in ["one\n", "two\n", "\n", "four\r\n", "five"] {
        // What is lent is never more than a record.
        let record = stream.fill_buf().await.unwrap();
        assert_eq!(str::from_utf8(record).unwrap(), expected);
        let count = record.len();
        stream.consume(count);
    }
    assert!(stream.fill_buf().await.unwrap().is_empty());
    server.process.wait_for("echoed 19 bytes").await;
}

#[tokio::test]
async fn a_mebibyte_without_a_line_feed_comes_back_whole() {
    let server = Server::start(&["--echo"]).await;
    let data: Vec<u8> = (0..1 << 20).map(|i: u32| b'a' + (i % 23) as u8).collect();
    let (mut reader, mut writer) = server.stream().await.into_split();
    let sent = data.clone();
    let sending = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
        writer
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.unwrap();
    sending.await.unwrap();
    assert!(received == data, "{} of {} bytes", received.len(), data.len());
}
