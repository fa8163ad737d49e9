//! Sessions that curl and Chromium resume, as the server sees it.

use tls_tests::openssl::curl;
use tls_tests::pki::KeyType;
use tls_tests::process::{require_one_or_skip, require_or_skip};

use crate::{CHROMIUM, Site, path};

/// A page that loads others one after the other, each on a connection of its own, since the server closes them.
fn chain(site: &Site, count: usize) -> String {
    let url = site.url("/json");
    format!(
        "<!DOCTYPE html><body><script>\nlet n = 0;\nfunction next() {{\n  if (n++ == {count}) return;\n  \
         const frame = document.createElement('iframe');\n  frame.onload = next;\n  frame.src = '{url}?' + n;\n  \
         document.body.append(frame);\n}}\nnext();\n</script>\n"
    )
}

#[tokio::test]
async fn chromium_resumes_in_both_versions_with_tickets_and_with_a_store() {
    let Some(chromium) = require_one_or_skip(&CHROMIUM) else {
        return;
    };
    if !require_or_skip("openssl") {
        return;
    }
    for options in [&[][..], &["--stateful"]] {
        for (limit, version) in [(&[][..], "TLSv1.3"), (&["--max-version", "1.2"], "TLSv1.2")] {
            let site = Site::start_with(KeyType::P256, &[options, limit].concat()).await;
            let file = site.directory.path().join("chain.html");
            std::fs::write(&file, chain(&site, 4)).unwrap();
            site.browse_from(chromium, &format!("file://{}", path(&file)), &[])
                .await;
            let log = site.server.wait_for("GET /json?4 200").await;
            for number in 1..=4 {
                let line = log
                    .lines()
                    .find(|line| line.contains(&format!("GET /json?{number} 200, {version}")))
                    .unwrap_or_else(|| panic!("no {number} by {version}: {log}"));
                let kind = if number == 1 { "full" } else { "resumed" };
                assert!(line.contains(&format!("{kind} handshake")), "{options:?}: {log}");
            }
        }
    }
}

/// Whether each of three transfers of one curl was resumed: each has a connection of its own, since the server closes
/// them, and curl keeps the sessions.
async fn curl_thrice(site: &Site, version: &[&str]) -> Vec<bool> {
    let url = site.url("/json");
    let line = [
        version,
        &["--fail", "--cacert", path(&site.root), &url, &url, &url],
    ]
    .concat();
    let finished = curl(&line).finish().await;
    let text = finished.text();
    assert!(finished.status.success(), "{text}");
    let of = |line: &str| match line.trim() {
        "\"resumed\": true," => Some(true),
        "\"resumed\": false," => Some(false),
        _ => None,
    };
    text.lines().filter_map(of).collect()
}

#[tokio::test]
async fn curl_resumes_tls_1_3_by_ticket_and_both_versions_by_a_store() {
    if !require_or_skip("curl") {
        return;
    }
    let (tls12, tls13) = (&["--tls-max", "1.2"][..], &["--tlsv1.3"][..]);
    let site = Site::start(KeyType::P256).await;
    assert_eq!(curl_thrice(&site, tls13).await, [false, true, true]);
    // Of TLS 1.2 curl with OpenSSL knows session ids alone: it switches tickets off.
    assert_eq!(curl_thrice(&site, tls12).await.len(), 3);
    let site = Site::start_with(KeyType::P256, &["--stateful"]).await;
    for version in [tls12, tls13] {
        assert_eq!(
            curl_thrice(&site, version).await,
            [false, true, true],
            "{version:?}"
        );
    }
    let site = Site::start_with(KeyType::P256, &["--tickets", "0"]).await;
    for version in [tls12, tls13] {
        assert_eq!(
            curl_thrice(&site, version).await,
            [false, false, false],
            "{version:?}"
        );
    }
}
