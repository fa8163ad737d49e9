//! The pages: what was negotiated, for people and for programs.

use serde_json::Value;

use super::http::{Response, Status};
use crate::describe::Facts;

/// What is to be done for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) response: Response,
    /// Ask the client for a KeyUpdate first.
    pub(super) key_update: bool,
    /// It was a HEAD request.
    pub(super) head_only: bool,
}

/// The answer to a request for this target.
pub(super) fn reply(method: &str, target: &str, facts: &Facts) -> Reply {
    let head_only = method == "HEAD";
    let plain = |response| Reply {
        response,
        key_update: false,
        head_only,
    };
    if !head_only && method != "GET" {
        return plain(Response::text(
            Status::METHOD_NOT_ALLOWED,
            "Only GET and HEAD are answered here.",
        ));
    }
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    match path {
        "/" => plain(html(facts, "")),
        "/json" => plain(Response {
            status: Status::OK,
            content_type: "application/json",
            body: format!("{:#}\n", Value::Object(facts.json())),
        }),
        "/keyupdate" if facts.version != "TLSv1.3" => plain(html(
            facts,
            "<p>This version of TLS has no KeyUpdate: the keys are the old ones.</p>\n",
        )),
        "/keyupdate" => Reply {
            response: html(
                facts,
                "<p>This page comes under a new key, and your side was asked for one too.</p>\n",
            ),
            key_update: true,
            head_only,
        },
        _ => plain(Response::text(
            Status::NOT_FOUND,
            "There is nothing here: try /, /json or /keyupdate.",
        )),
    }
}

fn html(facts: &Facts, note: &str) -> Response {
    let mut rows = String::new();
    for (label, value) in facts.rows() {
        rows.push_str("<tr><th>");
        rows.push_str(label);
        rows.push_str("<td>");
        escape(&value, &mut rows);
        rows.push('\n');
    }
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>tls serve</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <style>\nbody {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; \
         color-scheme: light dark }}\nth {{ text-align: left; font-weight: normal; padding-right: 2rem }}\n\
         td {{ font-family: ui-monospace, monospace }}\n</style>\n<h1>This connection</h1>\n{note}<table>\n{rows}\
         </table>\n<p><a href=\"/json\">The same as JSON</a> · <a href=\"/keyupdate\">With a KeyUpdate first</a></p>\n\
         </html>\n"
    );
    Response {
        status: Status::OK,
        content_type: "text/html; charset=utf-8",
        body,
    }
}

/// Names come from the client.
fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::{Status, reply};
    use crate::describe::Facts;

    fn facts() -> Facts {
        Facts {
            early_data: None,
            version: "TLSv1.3".to_owned(),
            cipher_suite: "TLS_AES_128_GCM_SHA256".to_owned(),
            group: "X25519".to_owned(),
            signature_scheme: None,
            alpn: Some("<script>&\"".to_owned()),
            server_name: Some("localhost".to_owned()),
            resumed: false,
            hello_retry_request: false,
            handshake: Duration::from_micros(1234),
            client: None,
        }
    }

    #[test]
    fn what_the_client_named_is_escaped_in_the_page() {
        let body = reply("GET", "/", &facts()).response.body;
        assert!(body.contains("&lt;script&gt;&amp;&quot;"), "{body}");
        assert!(!body.contains("<script>"), "{body}");
    }

    #[test]
    fn json_has_every_fact() {
        let body = reply("GET", "/json?a=b", &facts()).response.body;
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(json["version"], "TLSv1.3");
        assert_eq!(json["alpn"], "<script>&\"");
        assert_eq!(json["handshake_ms"], 1.234);
        assert!(json["signature_scheme"].is_null());
    }

    #[test]
    fn only_the_keyupdate_page_asks_for_one() {
        assert!(reply("GET", "/keyupdate", &facts()).key_update);
        assert!(!reply("GET", "/", &facts()).key_update);
        let old = Facts {
            version: "TLSv1.2".to_owned(),
            ..facts()
        };
        let page = reply("GET", "/keyupdate", &old);
        assert!(!page.key_update && page.response.body.contains("has no KeyUpdate"));
        assert!(!reply("POST", "/keyupdate", &facts()).key_update);
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        assert_eq!(
            reply("GET", "/other", &facts()).response.status,
            Status::NOT_FOUND
        );
        assert_eq!(
            reply("POST", "/", &facts()).response.status,
            Status::METHOD_NOT_ALLOWED
        );
    }

    #[test]
    fn the_page_fits_one_record() {
        assert!(reply("GET", "/keyupdate", &facts()).response.bytes(false).len() < 16 * 1024);
    }
}
