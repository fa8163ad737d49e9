//! Tools that compute fingerprints of their own: tshark (JA3) and the Python package ja4plus (JA4).

use std::io::Write as _;
use std::path::Path;

use serde_json::Value;
use tls_tests::process::{Process, require_or_skip};

use crate::support::path;

/// Bytes from hexadecimal digits.
pub(super) fn bytes(hex: &Value) -> Vec<u8> {
    let digits = hex.as_str().unwrap().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// A file of packets (IPv4 without a link layer), each of which has one of these hellos for port 443.
pub(super) fn pcap(hellos: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 0x0004_0000, 101] {
        // The two halves of the version change places in a little-endian file.
        let word = if word == 0x0002_0004 { 0x0004_0002 } else { word };
        file.extend(word.to_le_bytes());
    }
    for (number, hello) in (1_u16..).zip(hellos) {
        let mut packet = vec![
            0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        packet.extend((50_000 + number).to_be_bytes());
        packet.extend(443_u16.to_be_bytes());
        // Sequence and acknowledgement numbers, a header of 20 bytes, PSH and ACK, window, checksum, urgent pointer.
        packet.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend([22, 3, 1]);
        packet.extend(u16::try_from(hello.len()).unwrap().to_be_bytes());
        packet.extend(hello);
        let length = u16::try_from(packet.len()).unwrap();
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        for word in [u32::from(number), 0, u32::from(length), u32::from(length)] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

/// JA3 and its string for each packet.
pub(super) async fn ja3_by_tshark(packets: &Path) -> Option<Vec<[String; 2]>> {
    if !require_or_skip("tshark") {
        return None;
    }
    let line = [
        "-r",
        path(packets),
        "-T",
        "fields",
        "-e",
        "tls.handshake.ja3",
        "-e",
        "tls.handshake.ja3_full",
    ];
    Some(table(Process::spawn("tshark", line)).await)
}

/// JA4, JA4_r, JA4_o and JA4_ro for each packet. The package is nothing that a system brings: where it is missing, or
/// not in this `python3`, the check is left out.
pub(super) async fn ja4_by_ja4plus(packets: &Path) -> Option<Vec<[String; 4]>> {
    const SCRIPT: &str = "\
import sys
from scapy.all import rdpcap
from ja4plus import JA4Fingerprinter
for packet in rdpcap(sys.argv[1]):
    f = JA4Fingerprinter()
    print(f.process_packet(packet), f.last_raw, f.last_fingerprint_original_order, f.last_raw_original_order, sep='\\t')
";
    let python = std::env::var("TLS_JA4PLUS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let is_there = std::process::Command::new(&python)
        .args(["-c", "import ja4plus"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !is_there {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED the comparison of JA4: {python} has no ja4plus (TLS_JA4PLUS_PYTHON names another)"
        );
        return None;
    }
    Some(table(Process::spawn(&python, ["-c", SCRIPT, path(packets)])).await)
}

/// The lines of what it prints, in fields with tabs between them.
async fn table<const N: usize>(process: Process) -> Vec<[String; N]> {
    let finished = process.finish().await;
    assert!(finished.status.success(), "{}", finished.text());
    let text = String::from_utf8(finished.stdout).unwrap();
    let fields = |line: &str| {
        let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        fields.try_into().unwrap_or_else(|fields| panic!("{fields:?}"))
    };
    text.lines().map(fields).collect()
}
