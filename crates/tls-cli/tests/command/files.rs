//! `tls serve --root`: a web server of files, with curl and clients of ours.
#![cfg(unix)]

use std::path::Path;

use tempfile::TempDir;
use tls_tests::openssl::curl;
use tls_tests::process::{Finished, Process, require_or_skip};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::errors::assert_one_line;
use crate::support::{Server, path, run};

/// More than any buffer on the way takes.
const LARGE: usize = 16 << 20;

/// A directory to serve, beside a file that is none of the client's business.
struct Public {
    directory: TempDir,
}

impl Public {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let public = directory.path().join("public");
        std::fs::create_dir_all(public.join("below")).unwrap();
        std::fs::create_dir_all(public.join("empty")).unwrap();
        for (name, text) in [
            ("index.html", "<!DOCTYPE html><title>top</title>"),
            ("below/index.html", "<!DOCTYPE html><title>below</title>"),
            ("digits.txt", "0123456789"),
            ("with space.txt", "space"),
            ("../secret.txt", "secret"),
        ] {
            std::fs::write(public.join(name), text).unwrap();
        }
        let large: Vec<u8> = (0..LARGE).map(|place| (place / 251) as u8).collect();
        std::fs::write(public.join("large.bin"), large).unwrap();
        Self { directory }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("public")
    }

    async fn serve(&self, options: &[&str]) -> Server {
        let root = self.path();
        Server::start(&[&["--root", path(&root)], options].concat()).await
    }
}

/// `curl` with these options, then its status code and version of HTTP on a line of their own.
async fn get(server: &Server, target: &str, options: &[&str]) -> (Finished, String) {
    let (ca, url) = (server.ca(), server.url(target));
    let mut line = vec![
        "--cacert",
        path(&ca),
        "--path-as-is",
        "--write-out",
        "\n%{http_code} %{http_version}",
    ];
    line.extend(options);
    line.push(&url);
    let finished = curl(&line).finish().await;
    assert!(
        finished.status.success(),
        "{target} {options:?} {}",
        finished.text()
    );
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    (finished, text)
}

#[tokio::test]
async fn files_are_served_over_both_versions_of_http() {
    if !require_or_skip("curl") {
        return;
    }
    let public = Public::new();
    let server = public.serve(&["--h2"]).await;
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        for (target, body, status) in [
            ("/", "<!DOCTYPE html><title>top</title>", 200),
            ("/index.html", "<!DOCTYPE html><title>top</title>", 200),
            ("/below/", "<!DOCTYPE html><title>below</title>", 200),
            ("/below", "", 307),
            ("/digits.txt?query", "0123456789", 200),
            ("/with%20space.txt", "space", 200),
            ("/nothing", "", 404),
            // There are no listings.
            ("/empty/", "", 404),
        ] {
            let (_, text) = get(&server, target, &[option]).await;
            assert_eq!(text, format!("{body}\n{status} {version}"), "{target}");
        }
    }
    server
        .process
        .wait_for("GET /nothing HTTP/2.0 404, TLSv1.3")
        .await;
}

#[tokio::test]
async fn without_h2_it_is_http_1_1() {
    if !require_or_skip("curl") {
        return;
    }
    let public = Public::new();
    let server = public.serve(&[]).await;
    let (_, text) = get(&server, "/digits.txt", &["--http2"]).await;
    assert_eq!(text, "0123456789\n200 1.1");
}

#[tokio::test]
async fn ranges_head_and_other_methods_are_answered_as_http_says() {
    if !require_or_skip("curl") {
        return;
    }
    let public = Public::new();
    let server = public.serve(&["--h2"]).await;
    for version in ["--http1.1", "--http2"] {
        let cases: [(&[&str], &str, &str); 5] = [
            (&["--range", "2-4"], "234", "206"),
            (&["--range", "-3"], "789", "206"),
            (&["--range", "10-"], "", "416"),
            (&["--request", "DELETE"], "", "405"),
            (&["--data", "x"], "", "405"),
        ];
        for (options, body, status) in cases {
            let (_, text) = get(&server, "/digits.txt", &[&[version], options].concat()).await;
            assert!(
                text.starts_with(&format!("{body}\n{status} ")),
                "{options:?}: {text}"
            );
        }
        let (_, head) = get(&server, "/digits.txt", &[version, "--head"]).await;
        let head = head.to_ascii_lowercase();
        for part in [
            "content-length: 10\r\n",
            "content-type: text/plain",
            "\r\n\r\n\n200 ",
        ] {
            assert!(head.contains(part), "{part:?}: {head}");
        }
    }
}

#[tokio::test]
async fn nothing_outside_the_directory_is_served() {
    if !require_or_skip("curl") {
        return;
    }
    let public = Public::new();
    let server = public.serve(&["--h2"]).await;
    let secret = public.path().join("../secret.txt").canonicalize().unwrap();
    let absolute = format!("/{}", path(&secret));
    for target in [
        "/../secret.txt",
        "/below/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%5csecret.txt",
        "/.%00./secret.txt",
        &absolute,
    ] {
        for version in ["--http1.1", "--http2"] {
            let (_, text) = get(&server, target, &[version]).await;
            assert!(text.starts_with("\n40"), "{target}: {text}");
        }
    }
    // And exactly as an attacker would write it.
    let mut stream = server.stream().await;
    let request = b"GET ../secret.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 40"), "{response}");
    assert!(!response.contains("secret"), "{response}");
}

#[tokio::test]
async fn a_large_file_arrives_as_it_is() {
    if !require_or_skip("curl") {
        return;
    }
    let public = Public::new();
    let server = public.serve(&["--h2"]).await;
    let file = public.path().join("large.bin");
    for version in ["--http1.1", "--http2"] {
        let copy = public.directory.path().join("copy");
        get(&server, "/large.bin", &[version, "--output", path(&copy)]).await;
        assert!(same(&file, &copy), "{version}");
    }
}

fn same(one: &Path, other: &Path) -> bool {
    std::fs::read(one).unwrap() == std::fs::read(other).unwrap()
}

#[tokio::test]
async fn told_to_stop_it_finishes_the_file_in_hand_and_takes_nobody_else() {
    let public = Public::new();
    let server = public.serve(&["--drain", "60"]).await;
    let mut stream = server.stream().await;
    stream
        .write_all(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    let id = server.process.id().unwrap().to_string();
    Process::spawn("kill", ["-TERM", &id]).finish().await;
    server.process.wait_for("stopping: 1 open").await;
    let mut response = first.to_vec();
    stream.read_to_end(&mut response).await.unwrap();
    let end = response
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    assert!(response.starts_with(b"HTTP/1.1 200"));
    assert!(response[end + 4..] == std::fs::read(public.path().join("large.bin")).unwrap());
    stream.shutdown().await.unwrap();
    let finished = server.process.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    let text = finished.text();
    assert!(text.contains("at the end 1 finished, 0 cut off"), "{text}");
}

#[tokio::test]
async fn what_is_no_directory_cannot_be_served() {
    let public = Public::new();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--root"];
    let (file, missing) = (public.path().join("index.html"), public.path().join("missing"));
    for (root, part) in [(&file, "no directory"), (&missing, "No such file")] {
        let finished = run(&[&serve[..], &[path(root)]].concat()).await;
        assert_one_line(&finished, &[path(root), part]);
    }
}

#[tokio::test]
async fn plain_http_is_told_what_is_spoken_here() {
    let public = Public::new();
    let server = public.serve(&["--h2"]).await;
    let mut tcp = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
        .await
        .unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut response = String::new();
    tcp.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
}
