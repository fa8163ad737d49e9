//! Manual, completions, and colours where they belong.

use tls_tests::process::{Process, require_or_skip};

use crate::errors::assert_one_line;
use crate::support::{TLS, path, run, stderr};

/// What the command prints, which must work.
async fn printed(arguments: &[&str]) -> String {
    let finished = run(arguments).await;
    assert!(finished.status.success(), "{}", finished.text());
    assert_eq!(stderr(&finished), "");
    String::from_utf8(finished.stdout).unwrap()
}

#[tokio::test]
async fn a_page_has_the_options_of_its_command() {
    let all = printed(&["man"]).await;
    assert!(all.contains(".TH tls 1 "), "{all}");
    for command in ["serve", "connect", "capture", "transcript"] {
        assert!(all.contains(&format!("\ntls\\-{command}(1)\n")), "{all}");
    }
    // Nor what is for those who package the command, and has no page.
    for hidden in ["tls\\-man", "tls\\-completions", "tls\\-help"] {
        assert!(!all.contains(hidden), "{all}");
    }
    let connect = printed(&["man", "connect"]).await;
    assert!(connect.contains(".TH tls-connect 1 "), "{connect}");
    assert!(connect.contains("\\fB\\-\\-starttls\\fR"), "{connect}");
    assert!(connect.contains("tls connect example.com:443"), "{connect}");
    let record = printed(&["man", "transcript", "record"]).await;
    assert!(record.contains(".TH tls-transcript-record 1 "), "{record}");

    assert_one_line(&run(&["man", "nonsense"]).await, &["nonsense"]);
}

#[tokio::test]
async fn all_pages_are_written_at_once() {
    let directory = tempfile::tempdir().unwrap();
    printed(&["man", "--out", path(directory.path())]).await;
    for (name, arguments) in [
        ("tls.1", &["man"][..]),
        ("tls-serve.1", &["man", "serve"]),
        ("tls-transcript-show.1", &["man", "transcript", "show"]),
    ] {
        let page = std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(page, printed(arguments).await, "{name}");
    }
    let missing = directory.path().join("missing");
    let finished = run(&["man", "--out", path(&missing)]).await;
    assert_one_line(&finished, &[path(&missing), "No such file"]);
}

#[tokio::test]
async fn bash_completes_options_and_their_values() {
    if !require_or_skip("bash") {
        return;
    }
    // What is typed, and what is offered for its last word.
    let cases: [(&[&str], &[&str]); 3] = [
        (&["tls", "con"], &["connect"]),
        (&["tls", "connect", "--start"], &["--starttls"]),
        (
            &["tls", "connect", "--starttls", ""],
            &["smtp", "imap", "postgres"],
        ),
    ];
    for (words, offered) in cases {
        let script = "source <(\"$0\" completions bash); COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                      _tls tls \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; \
                      printf '%s\\n' \"${COMPREPLY[@]}\"";
        let mut line = vec!["--norc", "-c", script, TLS];
        line.extend(words);
        let finished = Process::spawn("bash", line).finish().await;
        assert_eq!(stderr(&finished), "");
        let text = String::from_utf8(finished.stdout).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), offered, "{words:?}");
    }
}

#[tokio::test]
async fn each_shell_has_a_script_of_its_own() {
    for (shell, part) in [
        ("bash", "complete -F _tls "),
        ("zsh", "#compdef tls"),
        ("fish", "complete -c tls "),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "set edit:completion:arg-completer[tls]"),
    ] {
        let script = printed(&["completions", shell]).await;
        assert!(script.contains(part), "{shell}");
        assert!(script.contains("starttls"), "{shell}");
    }
    assert_one_line(&run(&["completions", "cmd"]).await, &["cmd", "bash"]);
}

const ESCAPE: char = '\u{1b}';

#[tokio::test]
async fn what_goes_to_no_terminal_has_no_colours() {
    let line = [
        "-u",
        "CLICOLOR_FORCE",
        "RUST_LOG=trace",
        "CLICOLOR=1",
        "TERM=xterm-256color",
        TLS,
    ];
    for arguments in [
        &["--help"][..],
        &["connect", "--help"],
        &["connect", "--nonsense"],
        // With events of a library.
        &["connect", "localhost:1", "--insecure"],
    ] {
        let finished = Process::spawn("env", [&line, arguments].concat()).finish().await;
        let text = finished.text();
        assert!(text.len() > 20 && !text.contains(ESCAPE), "{text:?}");
    }
}

/// `script` gives it a terminal.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn on_a_terminal_no_color_means_none() {
    if !require_or_skip("script") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let help = async |variable: &'static str| {
        let command = format!("env -u NO_COLOR TERM=xterm-256color {variable} '{TLS}' --help");
        let arguments = ["-q", "-e", "-c", &command, path(&log)];
        let finished = Process::spawn("script", arguments).finish().await;
        assert!(finished.status.success(), "{}", finished.text());
        assert!(finished.text().contains("Usage:"), "{}", finished.text());
        finished.text()
    };
    assert!(help("A=1").await.contains(ESCAPE));
    assert!(!help("NO_COLOR=1").await.contains(ESCAPE));
}
