//! What may happen to files, and what becomes of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use tls_core::ConfigError;
use tls_tests::pair::{NAME, authority};
use tls_tests::pki::{Authority, Identity, KeyType, Leaf, Validity};
use tls_tokio::ReloadingCertificates;
use tokio::time::sleep;

use crate::{Files, INTERVAL, Reports, an_interval, identity, replace, served, server};

#[tokio::test(start_paused = true)]
async fn a_pair_that_is_renamed_over_the_old_one_is_used_within_an_interval() {
    let first = identity();
    let files = Files::new(&first);
    let (server, reports) = files.load().await;
    assert_eq!(served(&server, NAME), first.chain());
    for _ in 0..3 {
        let next = identity();
        files.rename_over(&next);
        an_interval().await;
        assert_eq!(served(&server, NAME), next.chain());
        assert_eq!(reports.take(), ["ok chain.pem"]);
        an_interval().await;
        assert!(reports.take().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_is_swapped_by_a_symbolic_link_is_noticed() {
    let directory = tempfile::TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    // The way of Kubernetes: tls.crt -> ..data/tls.crt, ..data -> a directory of this version.
    let version = |name: &str, identity: &Identity| {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("tls.crt"), identity.chain_pem()).unwrap();
        fs::write(at(name).join("tls.key"), identity.key_pem()).unwrap();
        symlink(name, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    let (first, second) = (identity(), identity());
    version("..2026_1", &first);
    for file in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), at(file)).unwrap();
    }
    let builder = ReloadingCertificates::builder().identity(at("tls.crt"), at("tls.key"));
    let server = server(builder.interval(INTERVAL).load().await.unwrap());
    assert_eq!(served(&server, NAME), first.chain());
    version("..2026_2", &second);
    fs::remove_dir_all(at("..2026_1")).unwrap();
    an_interval().await;
    assert_eq!(served(&server, NAME), second.chain());
}

#[tokio::test(start_paused = true)]
async fn files_that_are_written_in_place_are_not_taken_half() {
    let (first, second) = (identity(), identity());
    let (chain, key) = (second.chain_pem(), second.key_pem());
    // In the middle of a certificate, and after the first, which alone would fit the key.
    let first_only = chain.match_indices("-----BEGIN").nth(1).unwrap().0;
    for half in [300, first_only] {
        for is_completed in [false, true] {
            let files = Files::new(&first);
            let (server, reports) = files.load().await;
            fs::write(&files.key, &key).unwrap();
            fs::write(&files.chain, &chain[..half]).unwrap();
            // It was read by now, once.
            sleep(INTERVAL - Duration::from_millis(100)).await;
            assert_eq!(served(&server, NAME), first.chain());
            let then = if is_completed { &second } else { &first };
            fs::write(&files.chain, then.chain_pem()).unwrap();
            fs::write(&files.key, then.key_pem()).unwrap();
            an_interval().await;
            assert_eq!(served(&server, NAME), then.chain());
            assert_eq!(reports.take().len(), usize::from(is_completed));
        }
    }
    // What stays half is no good.
    let files = Files::new(&first);
    let (server, reports) = files.load().await;
    fs::write(&files.chain, &chain[..300]).unwrap();
    an_interval().await;
    an_interval().await;
    reports.assert_failed("chain.pem");
    assert_eq!(served(&server, NAME), first.chain());
}

/// Chain and key as they would stand in files.
type Pair = (Vec<u8>, Vec<u8>);

fn pair(identity: &Identity) -> Pair {
    (identity.chain_pem().into(), identity.key_pem().into())
}

/// Pairs that are no good, and what is said of them.
fn bad_pairs() -> Vec<(Pair, &'static str)> {
    let good = pair(&identity());
    let leaf = |validity| authority().issue(&Leaf::new(KeyType::P256, &[NAME]).validity(validity));
    let other_issuer = Authority::new().leaf(KeyType::P256, &[NAME]).chain_pem();
    let other_issuer = &other_issuer[other_issuer.match_indices("-----BEGIN").nth(1).unwrap().0..];
    let leaf_pem = &identity();
    let mixed = leaf_pem.chain_pem();
    let mixed = mixed[..mixed.match_indices("-----BEGIN").nth(1).unwrap().0].to_owned() + other_issuer;
    vec![
        ((good.0.clone(), identity().key_pem().into()), "does not belong"),
        ((good.0.clone(), b"garbage".to_vec()), "private key"),
        ((b"garbage".to_vec(), good.1), "chain is empty"),
        ((Vec::new(), Vec::new()), "chain.pem"),
        ((vec![0xff; 4096], vec![0; 4096]), "chain.pem"),
        (pair(&leaf(Validity::Expired)), "it expired"),
        (pair(&leaf(Validity::NotYet)), "becomes valid"),
        ((mixed.into(), leaf_pem.key_pem().into()), "the certificate: "),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_is_no_good_is_reported_once_and_the_old_one_is_used_further() {
    let first = identity();
    let files = Files::new(&first);
    let (server, reports) = files.load().await;
    for ((chain, key), what) in bad_pairs() {
        replace(&files.chain, chain);
        replace(&files.key, key);
        for _ in 0..3 {
            an_interval().await;
            assert_eq!(served(&server, NAME), first.chain(), "{what}");
        }
        reports.assert_failed(what);
    }
    for _ in 0..2 {
        // Back to what is used all the time: nothing is new. But the same mistake again is another one.
        files.rename_over(&first);
        an_interval().await;
        assert!(reports.take().is_empty());
        fs::write(&files.key, "garbage").unwrap();
        an_interval().await;
        reports.assert_failed("key.pem");
    }
    let next = identity();
    files.rename_over(&next);
    an_interval().await;
    assert_eq!(served(&server, NAME), next.chain());
    assert_eq!(reports.take(), ["ok chain.pem"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_may_be_gone_for_a_while() {
    let (first, second) = (identity(), identity());
    let files = Files::new(&first);
    let (server, reports) = files.load().await;
    for next in [&first, &second] {
        fs::remove_file(&files.chain).unwrap();
        for _ in 0..3 {
            an_interval().await;
            assert_eq!(served(&server, NAME), first.chain());
        }
        reports.assert_failed("chain.pem: No such file");
        // A directory in its place is another failure.
        fs::create_dir(&files.chain).unwrap();
        an_interval().await;
        reports.assert_failed("chain.pem");
        fs::remove_dir(&files.chain).unwrap();
        files.rename_over(next);
        an_interval().await;
        assert_eq!(served(&server, NAME), next.chain());
    }
    assert_eq!(reports.take(), ["ok chain.pem"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_contents_written_again_are_no_reload() {
    let first = identity();
    let files = Files::new(&first);
    let (server, reports) = files.load().await;
    for _ in 0..3 {
        files.rename_over(&first);
        an_interval().await;
    }
    assert_eq!(reports.take(), [""; 0]);
    assert_eq!(served(&server, NAME), first.chain());
}

#[tokio::test(start_paused = true)]
async fn each_of_several_identities_is_reloaded_by_itself() {
    let names = ["one.test", "two.test"];
    let of = |name: &str| authority().leaf(KeyType::P256, &[name]);
    let files = names.map(|name| Files::new(&of(name)));
    let reports = Reports::default();
    let builder = names
        .iter()
        .zip(&files)
        .fold(ReloadingCertificates::builder(), |builder, (_, files)| {
            builder.identity(&files.chain, &files.key)
        });
    let builder = builder.interval(INTERVAL).on_reload(reports.callback());
    let server = server(builder.strict().load().await.unwrap());
    let before = names.map(|name| served(&server, name));
    assert_ne!(before[0], before[1]);
    // The first is broken, the second is renewed.
    let renewed = of(names[1]);
    fs::write(&files[0].chain, "garbage").unwrap();
    files[1].rename_over(&renewed);
    an_interval().await;
    assert_eq!(
        names.map(|name| served(&server, name)),
        [before[0].clone(), renewed.chain()]
    );
    let mut lines = reports.take();
    lines.sort_unstable();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[1] == "ok chain.pem" && lines[0].contains("chain is empty"),
        "{lines:?}"
    );
    // It may come to be for another name too.
    let moved = of("three.test");
    files[0].rename_over(&moved);
    an_interval().await;
    assert_eq!(served(&server, "three.test"), moved.chain());
}

#[tokio::test(start_paused = true)]
async fn one_file_may_hold_both_and_a_reload_can_be_asked_for() {
    let (first, second) = (identity(), identity());
    let files = Files::new(&first);
    let both = |identity: &Identity| identity.key_pem() + &identity.chain_pem();
    replace(&files.chain, both(&first));
    let builder = ReloadingCertificates::builder().identity(&files.chain, &files.chain);
    let certificates = Arc::new(
        builder
            .interval(Duration::from_secs(86_400))
            .load()
            .await
            .unwrap(),
    );
    let resolver = Arc::clone(&certificates);
    let server = tls_core::ServerConfig::builder()
        .certificate_resolver(resolver)
        .build()
        .unwrap();
    replace(&files.chain, both(&second));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(served(&server, NAME), first.chain());
    certificates.reload();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(served(&server, NAME), second.chain());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_looked_at_any_more_once_nobody_uses_it() {
    let files = Files::new(&identity());
    let alive = Arc::new(());
    let witness = Arc::clone(&alive);
    let builder = files.builder().on_reload(move |_| drop(Arc::clone(&witness)));
    let server = server(builder.load().await.unwrap());
    let second = server.clone();
    drop(server);
    files.rename_over(&identity());
    an_interval().await;
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(second);
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&alive), 1, "the task holds the callback");
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_panics_stops_nothing() {
    let files = Files::new(&identity());
    let server = server(
        files
            .builder()
            .on_reload(|_| panic!("as the test wants it"))
            .load()
            .await
            .unwrap(),
    );
    for _ in 0..2 {
        let next = identity();
        files.rename_over(&next);
        an_interval().await;
        assert_eq!(served(&server, NAME), next.chain());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_good_at_the_beginning_is_an_error() {
    let refused = |loaded: Result<ReloadingCertificates, ConfigError>| loaded.unwrap_err().to_string();
    assert_eq!(
        refused(ReloadingCertificates::builder().load().await),
        "no certificate to present"
    );
    let files = Files::new(&identity());
    let missing = files.directory.path().join("missing.pem");
    let builder = files.builder().identity(&files.chain, &missing);
    let error = refused(builder.load().await);
    assert!(error.contains("missing.pem: No such file"), "{error}");
    for ((chain, key), what) in bad_pairs() {
        replace(&files.chain, chain);
        replace(&files.key, key);
        let error = refused(files.builder().load().await);
        assert!(error.contains(what), "{what}: {error}");
    }
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}
