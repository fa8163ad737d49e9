//! The harness runs, whole.

use std::process::Command;

/// An idle connection holds no buffer: at the most this many bytes, with the peer's chain and the stream's socket.
const MAX_IDLE: f64 = 4096.0;

/// One word of each kind of work.
const KINDS: [&str; 6] = ["handshake", "bulk", "small", "loopback", "allocations", "idle"];

#[test]
fn a_quick_run_prints_every_kind_of_row_with_values_for_both_stacks() {
    let _built = env!("CARGO_BIN_EXE_tls-benches-memory");
    let output = Command::new(env!("CARGO_BIN_EXE_tls-benches"))
        .arg("--quick")
        .env("TLS_BENCHES_NO_BUILD", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let table = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    for kind in KINDS {
        assert!(
            rows.iter().any(|row| row[1].starts_with(kind)),
            "no row of {kind} in\n{table}"
        );
    }
    for row in [
        "handshake TLS 1.2 X25519, client",
        "handshake TLS 1.2 X25519, RSA-2048, server",
        "handshake resumed X25519, 1 new ticket, server",
        "handshake resumed TLS 1.2 by ticket, no new ticket, client",
        "handshake resumed TLS 1.2 by session id, client",
        "allocations per handshake resumed X25519, 1 new ticket, client, Rust's",
    ] {
        assert!(
            rows.iter().any(|cells| cells[1] == row),
            "no row {row:?} in\n{table}"
        );
    }
    for kind in ["bulk", "allocations", "idle"] {
        assert!(
            rows.iter()
                .any(|cells| cells[1].starts_with(kind) && cells[1].contains("TLS 1.2")),
            "no row of {kind} for TLS 1.2 in\n{table}"
        );
    }
    for row in rows {
        for cell in &row[2..=3] {
            let value: f64 = cell.split(' ').next().unwrap().parse().unwrap();
            assert!(value > 0.0, "{row:?}");
        }
        if row[1].starts_with("idle") && row[1].contains("heap") {
            let bytes: f64 = row[2].trim_end_matches(" B").parse().unwrap();
            assert!(bytes < MAX_IDLE, "an idle connection holds {bytes} bytes");
        }
        // Counts do not depend on the machine: equal things are equal, but for the length of a signature.
        if row[1].starts_with("allocations") || row[1].contains("heap") {
            let check: f64 = row[5].trim_matches('*').parse().unwrap();
            assert!((0.95..=1.05).contains(&check), "{row:?}");
        }
    }
}
