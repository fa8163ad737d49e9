//! The fixed certificates of the recordings. They are made once: new ones mean that all is recorded again.

use std::path::Path;

use tls_tests::pki::{Authority, KeyType, Leaf, Validity};
use tls_tests::transcript::case::directory;

#[test]
#[ignore = "makes new certificates in testdata/transcripts/pki: everything has to be recorded again then"]
fn make_the_certificates() {
    let pki = directory().join("pki");
    std::fs::create_dir_all(&pki).unwrap();
    let root = Authority::new();
    let write_root = |name: &str, authority: &Authority| {
        std::fs::write(pki.join(format!("{name}-ca.pem")), authority.root_pem()).unwrap();
    };
    write_root("root", &root);
    let issue = |authority: &Authority, name: &str, leaf: Leaf| {
        authority.issue(&leaf).write_to(Path::new(&pki), name);
    };
    let types = [
        ("p256", KeyType::P256),
        ("p384", KeyType::P384),
        ("p521", KeyType::P521),
        ("rsa2048", KeyType::Rsa2048),
        ("rsa3072", KeyType::Rsa3072),
        ("rsa4096", KeyType::Rsa4096),
        ("ed25519", KeyType::Ed25519),
    ];
    for (name, key_type) in types {
        issue(&root, name, Leaf::new(key_type, &["server.test"]));
        if !["rsa3072", "rsa4096"].contains(&name) {
            let leaf = Leaf::new(key_type, &["client.test"]).client();
            issue(&root, &format!("client-{name}"), leaf);
        }
    }
    // What a server without the intermediate at hand can be judged by.
    let issuers = std::fs::read(pki.join("p256-issuers.pem")).unwrap();
    std::fs::write(pki.join("intermediate-ca.pem"), issuers).unwrap();
    let p256 = |name: &str| Leaf::new(KeyType::P256, &[name]);
    issue(&root, "second", p256("second.test"));
    issue(&root, "wrong-name", p256("wrong.test"));
    issue(&root, "expired", p256("server.test").validity(Validity::Expired));
    let stranger = Authority::new();
    issue(&stranger, "stranger", p256("server.test"));
    issue(&stranger, "client-stranger", p256("client.test").client());
    for (name, key_type) in [("rsa", KeyType::Rsa2048), ("ed25519", KeyType::Ed25519)] {
        let authority = Authority::with_key_type(key_type);
        write_root(&format!("{name}-root"), &authority);
        issue(&authority, &format!("{name}-chain"), p256("server.test"));
    }
    // More than one record holds.
    let names: Vec<String> = (0..900)
        .map(|number| format!("name-{number}.server.test"))
        .collect();
    let names: Vec<&str> = ["server.test"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    issue(&root, "large", Leaf::new(KeyType::P256, &names));
    std::fs::write(pki.join("early.txt"), "early data\n").unwrap();
}
