//! Each fault of a service: the exact error, what the cache holds afterwards, and when it is asked again.

use crate::fake::{CHAIN, CHIP, CRL, Fake, Fetching, Reply};
use sealpod_evidence::snp::report::Product;
use sealpod_kbs::endorsements::{ContentError, EndorsementSettings, FetchError, Item, Vendor};
use sealpod_testkit::pki::{self, Certificate, Crl, VekExtensions};
use std::net::IpAddr;

/// What a fetch of the chip's certificate ends with, when the service answers this; nothing is kept.
async fn refused(reply: Reply) -> (Fake, Fetching, FetchError) {
    let fake = Fake::start().await;
    fake.set(CHIP, reply);
    let fetching = Fetching::new(&fake.settings());
    let error = fetching.get(CHIP).await.unwrap_err();
    assert_eq!(fetching.held(CHIP), None, "{error}");
    (fake, fetching, error)
}

/// It is not asked again before so many seconds, and then it is, and what is good now is kept.
async fn recovers_after((fake, fetching): (Fake, Fetching), seconds: u64) {
    fake.set_all();
    let before = fake.asked().len();
    fetching.clock.wait(seconds - 1);
    let early = fetching.get(CHIP).await.unwrap_err();
    assert!(matches!(early, FetchError::Failed { .. } | FetchError::Paused { .. }), "{early}");
    assert_eq!(fake.asked().len(), before);
    fetching.clock.wait(1);
    assert_eq!(fetching.get(CHIP).await.unwrap().body, pki::vcek_der());
    assert_eq!(fetching.held(CHIP).unwrap(), pki::vcek_der());
    assert_eq!(fake.asked().len(), before + 1);
}

/// How long something that is not there or wrong is not asked for again.
const ABSENT: u64 = 600;
/// The first pause after an error of the service, at its longest.
const FIRST: u64 = 2;

#[tokio::test]
async fn asked_too_often_everything_of_that_vendor_waits_as_long_as_it_says() {
    let reply = Reply::status(429, "slow down").with("retry-after", "30");
    let (fake, fetching, error) = refused(reply).await;
    assert_eq!(error, FetchError::TooOften { seconds: 30 });
    let until = pki::NOW + 30;
    assert_eq!(fetching.get(CRL).await.unwrap_err(), FetchError::Paused { vendor: Vendor::Amd, until });
    assert_eq!(fake.count(CRL), 0);
    recovers_after((fake, fetching), 30).await;
}

#[tokio::test]
async fn a_service_that_fails_is_asked_again_after_a_pause() {
    let (fake, fetching, error) = refused(Reply::status(500, "oops")).await;
    assert_eq!(error, FetchError::Status { found: 500 });
    // One strange chip does not stop the others.
    fetching.get(CRL).await.unwrap();
    // The pause is random within a second and two.
    fetching.clock.wait(FIRST);
    fake.set_all();
    assert_eq!(fetching.get(CHIP).await.unwrap().body, pki::vcek_der());
}

#[tokio::test]
async fn what_the_service_does_not_have_is_not_asked_for_again_soon() {
    let (fake, fetching, error) = refused(Reply::status(404, "unknown")).await;
    assert_eq!(error, FetchError::Status { found: 404 });
    recovers_after((fake, fetching), ABSENT).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_kept() {
    let half = pki::vcek_der()[..700].to_vec();
    let (_, _, error) = refused(Reply::ok(half).declaring(pki::vcek_der().len())).await;
    assert!(matches!(error, FetchError::Broken { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_declares_less_than_it_has_is_cut_and_refused() {
    let (fake, fetching, error) = refused(Reply::ok(pki::vcek_der()).declaring(700)).await;
    assert!(matches!(error, FetchError::Content(ContentError::Syntax { .. })), "{error}");
    recovers_after((fake, fetching), ABSENT).await;
}

#[tokio::test]
async fn another_chips_certificate_is_refused_at_the_door_and_written_down() {
    let other = Certificate {
        vek: Certificate::vcek().vek.map(|vek| VekExtensions { hardware_id: Some(vec![1; 64]), ..vek }),
        ..Certificate::vcek()
    };
    let (fake, fetching, error) = refused(Reply::ok(other.to_der())).await;
    let expected = ContentError::Other {
        what: "chip",
        expected: hex::encode(pki::CHIP_ID),
        found: hex::encode([1; 64]),
    };
    assert_eq!(error, FetchError::Content(expected));
    let (verdict, line) = fetching.audit().pop().unwrap();
    assert_eq!(verdict, "refuse");
    assert!(line.starts_with(&CHIP.to_string()) && line.ends_with(&hex::encode([1; 64])), "{line}");
    recovers_after((fake, fetching), ABSENT).await;
}

#[tokio::test]
async fn another_tcbs_certificate_is_refused_at_the_door() {
    let other = Certificate {
        vek: Certificate::vcek().vek.map(|mut vek| {
            vek.tcb.microcode += 1;
            vek
        }),
        ..Certificate::vcek()
    };
    let (_, _, error) = refused(Reply::ok(other.to_der())).await;
    assert!(matches!(error, FetchError::Content(ContentError::Other { what: "TCB", .. })), "{error}");
}

#[tokio::test]
async fn a_web_page_is_no_certificate() {
    let (_, _, error) = refused(Reply::ok("<html><body>Please sign in</body></html>")).await;
    assert!(matches!(&error, FetchError::Content(ContentError::Syntax { .. })), "{error}");
    assert!(error.to_string().contains("<html>"), "{error}");
}

#[tokio::test]
async fn more_than_any_certificate_has_is_not_read() {
    let (_, _, error) = refused(Reply::ok(vec![0x30; 4097])).await;
    assert_eq!(error, FetchError::TooLarge { expected: 4096 });
    let (fake, fetching, error) = refused(Reply::Endless).await;
    assert_eq!(error, FetchError::TooLarge { expected: 4096 });
    recovers_after((fake, fetching), ABSENT).await;
}

#[tokio::test]
async fn an_answer_that_does_not_end_in_time_is_given_up() {
    let fake = Fake::start().await;
    fake.set(CHIP, Reply::Stuck);
    let fetching = Fetching::new(&EndorsementSettings { request_seconds: 1, ..fake.settings() });
    let error = fetching.get(CHIP).await.unwrap_err();
    assert_eq!(error, FetchError::Timeout { host: fake.address.to_string(), seconds: 1 });
    assert_eq!(fetching.held(CHIP), None);
}

#[tokio::test]
async fn no_redirection_is_followed() {
    let (fake, _, error) = refused(Reply::status(302, "").with("location", "http://127.0.0.1:1/x")).await;
    let location = "http://127.0.0.1:1/x".to_owned();
    assert_eq!(error, FetchError::Redirect { status: 302, location });
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_no_answer() {
    let (_, _, error) = refused(Reply::status(304, "")).await;
    assert_eq!(error, FetchError::Status { found: 304 });
}

#[tokio::test]
async fn what_does_not_speak_http_is_no_service() {
    let (_, _, error) = refused(Reply::Junk).await;
    assert!(matches!(error, FetchError::Broken { .. }), "{error}");
}

#[tokio::test]
async fn nobody_at_the_address_is_an_error_that_names_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let settings = EndorsementSettings {
        amd_kds: Some(format!("http://{host}").parse().unwrap()),
        ..Default::default()
    };
    let fetching = Fetching::new(&settings);
    let error = fetching.get(CHIP).await.unwrap_err();
    assert!(matches!(&error, FetchError::Connect { host: found, .. } if *found == host), "{error}");
    let off = Item::TdxQeIdentity;
    assert_eq!(fetching.get(off).await.unwrap_err(), FetchError::Off { item: Box::new(off) });
}

#[tokio::test]
async fn a_list_past_its_time_is_refused_and_the_one_held_stays() {
    let fake = Fake::start().await;
    let fetching = Fetching::new(&fake.settings());
    let held =
        Crl { this_update: pki::NOW - 100, next_update: Some(pki::NOW + 10_000), ..Crl::default() }.to_der();
    fake.set(CRL, Reply::ok(held.clone()));
    fetching.get(CRL).await.unwrap();
    let stale = Crl { this_update: pki::NOW - 50, next_update: Some(pki::NOW - 1), ..Crl::default() };
    fake.set(CRL, Reply::ok(stale.to_der()));
    let error = fetching.fetcher.refresh(CRL).await.unwrap_err();
    let (from, to) = (pki::NOW - 50, pki::NOW - 1);
    assert_eq!(error, FetchError::Content(ContentError::Validity { now: pki::NOW, from, to }));
    assert_eq!(fetching.held(CRL).unwrap(), held);
    // The one held serves on.
    assert_eq!(fetching.get(CRL).await.unwrap().body, held);

    // An older one would bring back what was revoked since.
    fetching.clock.wait(ABSENT);
    let older = Crl { this_update: pki::NOW - 101, next_update: Some(pki::NOW + 20_000), ..Crl::default() };
    fake.set(CRL, Reply::ok(older.to_der()));
    let error = fetching.fetcher.refresh(CRL).await.unwrap_err();
    let expected = ContentError::Older { expected: pki::NOW - 100, found: pki::NOW - 101 };
    assert_eq!(error, FetchError::Content(expected));
    assert_eq!(fetching.held(CRL).unwrap(), held);

    // Past its own time it serves no more, whatever the service says.
    fetching.clock.wait(20_000);
    let error = fetching.get(CRL).await.unwrap_err();
    assert!(matches!(error, FetchError::Content(ContentError::Validity { .. })), "{error}");
}

#[tokio::test]
async fn what_is_unchanged_is_confirmed_and_not_sent_again() {
    let fake = Fake::start().await;
    let fetching = Fetching::new(&fake.settings());
    let first = fetching.get(CRL).await.unwrap();
    fetching.clock.wait(3600);
    let second = fetching.fetcher.refresh(CRL).await.unwrap();
    let etags: Vec<_> = fake.asked().into_iter().map(|asked| asked.etag).collect();
    assert_eq!(etags, [None, Some("\"crl-1\"".to_owned())]);
    assert_eq!((&second.body, second.head.fetched), (&first.body, pki::NOW + 3600));
    assert_eq!(second.head.stale, first.head.stale + 3600);
    // One line for the one that was new.
    assert_eq!(fetching.audit().len(), 1);
    // A new one replaces it.
    let list = Crl { this_update: pki::NOW, ..Crl::default() }.to_der();
    fake.set(CRL, Reply::ok(list.clone()).with("etag", "\"crl-2\""));
    assert_eq!(fetching.fetcher.refresh(CRL).await.unwrap().body, list);
    assert_eq!(fetching.held(CRL).unwrap(), list);
}

#[tokio::test]
async fn a_304_does_not_prolong_what_is_past_its_time() {
    let fake = Fake::start().await;
    let fetching = Fetching::new(&fake.settings());
    let list = Crl { next_update: Some(pki::NOW + 100), ..Crl::default() }.to_der();
    fake.set(CRL, Reply::ok(list).with("etag", "\"x\""));
    fetching.get(CRL).await.unwrap();
    fetching.clock.wait(101);
    let error = fetching.get(CRL).await.unwrap_err();
    assert!(matches!(error, FetchError::Content(ContentError::Validity { .. })), "{error}");
    assert_eq!(fake.asked().pop().unwrap().etag.as_deref(), Some("\"x\""));
}

#[tokio::test]
async fn a_spoiled_file_is_fetched_anew() {
    let fake = Fake::start().await;
    let fetching = Fetching::new(&fake.settings());
    fetching.get(CHIP).await.unwrap();
    let path = fetching.layout.endorsements().join("chips").join(CHIP.to_string());
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(fetching.held(CHIP), None);
    assert_eq!(fetching.get(CHIP).await.unwrap().body, pki::vcek_der());
    assert_eq!(fake.count(CHIP), 2);
    assert_eq!(fetching.held(CHIP).unwrap(), pki::vcek_der());
}

#[tokio::test]
async fn a_hundred_who_want_the_same_cause_one_request() {
    let fake = Fake::start().await;
    fake.open(false);
    let fetching = Fetching::new(&fake.settings());
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            let fetcher = fetching.fetcher.clone();
            tokio::spawn(async move { fetcher.obtain(CHIP, Some(IpAddr::from([127, 0, 0, 1]))).await })
        })
        .collect();
    fake.open(true);
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap().unwrap().body, pki::vcek_der());
    }
    assert_eq!(fake.asked().len(), 1);
    assert_eq!(fetching.audit().len(), 1);
}

#[tokio::test]
async fn at_most_so_many_requests_are_under_way_at_once() {
    let fake = Fake::empty().await;
    fake.open(false);
    let fetching = Fetching::new(&fake.settings());
    let chip = |id| Item::Vcek { product: Product::Genoa, chip_id: [id; 64], tcb: [0; 8] };
    let waiters: Vec<_> = (1..=40)
        .map(|id| {
            let fetcher = fetching.fetcher.clone();
            tokio::spawn(async move { fetcher.obtain(chip(id), None).await })
        })
        .collect();
    while fake.asked().len() < 8 {
        tokio::task::yield_now().await;
    }
    // All forty wait by now; a ninth request would have been made in these turns.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.asked().len(), 8);
    fake.open(true);
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap().unwrap_err(), FetchError::Status { found: 404 });
    }
    assert_eq!(fake.asked().len(), 40);
}

#[tokio::test]
async fn made_up_chips_do_not_make_the_broker_hammer_the_service() {
    let fake = Fake::start().await;
    let settings = EndorsementSettings { chips_per_minute: 5, chips_per_source: 3, ..fake.settings() };
    let fetching = Fetching::new(&settings);
    let chip = |id| Item::Vcek { product: Product::Genoa, chip_id: [id; 64], tcb: [0; 8] };
    let (liar, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
    for id in 1..=20 {
        assert!(fetching.fetcher.obtain(chip(id), Some(liar)).await.is_err());
    }
    assert_eq!(fake.asked().len(), 3);
    // Others still get theirs.
    assert!(fetching.fetcher.obtain(CHIP, Some(other)).await.is_ok());
    assert!(fetching.fetcher.obtain(CHAIN, Some(liar)).await.is_ok());
    for id in 21..=40 {
        assert!(fetching.fetcher.obtain(chip(id), Some(IpAddr::from([10, 0, 1, id]))).await.is_err());
    }
    assert_eq!(fake.asked().len(), 6);
    assert!(fetching.fetcher.obtain(CHIP, Some(liar)).await.is_ok());
    assert_eq!(fake.asked().len(), 6);
}
