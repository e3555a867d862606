//! Downloads from a hub that this test plays itself.

mod fake_hub;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ascendit::Error;
use ascendit::cancel::Cancel;
use ascendit::checkpoint::hub::{
    DownloadObserver, Hub, HubConfig, RepoId, Snapshot, is_engine_file,
};

use fake_hub::{COMMIT, FakeHub, Fault, LATER_COMMIT, film, film_files, git_id, noise, sha256};

const WANTED: [&str; 5] = [
    "README.md",
    "model_index.json",
    "transformer/config.json",
    "transformer/model.safetensors",
    "vae/empty.safetensors",
];

#[derive(Default)]
struct Watch {
    planned: Mutex<Vec<(String, u64)>>,
    last: Mutex<BTreeMap<String, (u64, u64)>>,
    /// Cancels once so many bytes of one file are there.
    cancel_at: Option<u64>,
    cancel: Cancel,
    cancelled_at: Mutex<Option<Instant>>,
    calls: AtomicU64,
}

impl DownloadObserver for Watch {
    fn planned(&self, files: &[(String, u64)]) {
        *self.planned.lock().unwrap() = files.to_vec();
    }

    fn progress(&self, path: &str, done: u64, total: u64) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let last = (done, total);
        self.last.lock().unwrap().insert(path.into(), last);
        if self.cancel_at.is_some_and(|at| done >= at) && !self.cancel.is_cancelled() {
            self.cancel.cancel();
            *self.cancelled_at.lock().unwrap() = Some(Instant::now());
        }
    }
}

#[test]
fn a_repository_becomes_a_snapshot_that_every_hub_client_can_read() {
    let hub = FakeHub::start("", &film_files());
    let watch = Watch::default();
    let snapshot = hub.fetch_with(hub.config(), &watch).unwrap();
    assert_eq!(
        snapshot,
        Snapshot {
            dir: hub.repo_dir().join("snapshots").join(COMMIT),
            commit: COMMIT.into(),
            license: Some("other (acme-1)".into()),
            files: WANTED.map(str::to_owned).to_vec(),
        }
    );
    for (path, content) in film_files() {
        let there = fs::read(snapshot.dir.join(path)).ok();
        let expected = WANTED.contains(&path).then_some(content);
        assert_eq!(there, expected, "{path}");
    }
    assert_eq!(
        fs::read_to_string(hub.repo_dir().join("refs/main")).unwrap(),
        COMMIT
    );
    let weights = noise(300_000);
    assert_eq!(
        fs::read_link(snapshot.dir.join("transformer/model.safetensors")).unwrap(),
        Path::new("../../../blobs").join(sha256(&weights))
    );
    assert_eq!(
        fs::read_link(snapshot.dir.join("model_index.json")).unwrap(),
        Path::new("../../blobs").join(git_id(b"{}"))
    );

    let sizes = [51, 2, 8, 300_000, 0];
    let planned: Vec<_> = WANTED.map(str::to_owned).into_iter().zip(sizes).collect();
    assert_eq!(*watch.planned.lock().unwrap(), planned);
    let last = watch.last.lock().unwrap();
    for (path, size) in planned {
        assert_eq!(last[&path], (size, size));
    }
    // The token goes to the hub and not to where the hub sends the client.
    for request in hub.requests.lock().unwrap().iter() {
        let expected = (!request.target.starts_with("/cdn/")).then_some("Bearer hf_secret");
        assert_eq!(request.token.as_deref(), expected, "{}", request.target);
    }
}

#[test]
fn what_is_in_the_cache_is_not_fetched_again() {
    let hub = FakeHub::start("", &film_files());
    let first = hub.fetch().unwrap();
    hub.fails_with(|_| None);
    let watch = Watch::default();
    assert_eq!(hub.fetch_with(hub.config(), &watch).unwrap(), first);
    assert!(watch.planned.lock().unwrap().is_empty());
    assert_eq!(hub.requests.lock().unwrap().len(), 2);

    // Nor for another commit with the same content.
    *hub.commit.lock().unwrap() = LATER_COMMIT;
    hub.fails_with(|_| None);
    let later = hub.fetch().unwrap();
    assert_eq!(later.commit, LATER_COMMIT);
    assert_eq!(later.files, first.files);
    assert_eq!(hub.requests.lock().unwrap().len(), 2);
    assert_eq!(
        fs::read(later.dir.join("transformer/model.safetensors")).unwrap(),
        noise(300_000)
    );
}

#[test]
fn a_cut_connection_is_gone_on_with_where_it_broke() {
    let hub = FakeHub::start("", &film_files());
    let count = AtomicU64::new(0);
    hub.fails_with(move |request| {
        let content = request.method == "GET" && request.target.starts_with("/cdn/");
        (content && count.fetch_add(1, Ordering::Relaxed) < 2).then_some(Fault::Cut(100_000))
    });
    let snapshot = hub.fetch().unwrap();
    assert_eq!(hub.content_requests(), [0, 100_000, 200_000]);
    assert_eq!(
        fs::read(snapshot.dir.join("transformer/model.safetensors")).unwrap(),
        noise(300_000)
    );
}

#[test]
fn a_connection_that_keeps_breaking_is_an_error_and_the_next_run_goes_on() {
    let hub = FakeHub::start("", &film_files());
    hub.fails_with(|request| {
        let content = request.method == "GET" && request.target.starts_with("/cdn/");
        content.then_some(Fault::Cut(if request.range_from.is_none() {
            50_000
        } else {
            0
        }))
    });
    let error = hub.fetch().unwrap_err().to_string();
    let reason = error
        .split("stopped arriving (")
        .nth(1)
        .and_then(|rest| rest.split(')').next())
        .unwrap_or("");
    assert!(!reason.is_empty());
    assert_eq!(
        error,
        format!(
            "cannot download acme/film from {}: transformer/model.safetensors stopped arriving \
             ({reason}); run again to go on from there, or set HF_ENDPOINT to a mirror",
            hub.endpoint
        )
    );
    assert!(!hub.is_published());

    hub.fails_with(|_| None);
    hub.fetch().unwrap();
    assert_eq!(hub.content_requests(), [50_000]);
}

#[test]
fn a_server_that_ignores_ranges_is_asked_for_the_whole_file() {
    let hub = FakeHub::start("", &film_files());
    hub.fails_with(|request| {
        let content = request.method == "GET" && request.target.starts_with("/cdn/");
        content.then_some(match request.range_from {
            None => Fault::Cut(100_000),
            Some(_) => Fault::Status(500, "", ""),
        })
    });
    hub.fetch().unwrap_err();
    hub.fails_with(|request| request.range_from.map(|_| Fault::IgnoreRange));
    let snapshot = hub.fetch().unwrap();
    assert_eq!(hub.content_requests(), [100_000, 0]);
    assert_eq!(
        fs::read(snapshot.dir.join("transformer/model.safetensors")).unwrap(),
        noise(300_000)
    );
}

#[test]
fn content_that_is_not_what_the_hub_lists_is_refused() {
    let hub = FakeHub::start("", &film_files());
    hub.fails_with(|request| {
        let config = request.target.ends_with("transformer/config.json");
        (config && request.method == "GET").then_some(Fault::Wrong)
    });
    hub.error_is(
        "transformer/config.json is not what the hub lists (its checksum differs); run again \
         later, or set HF_ENDPOINT to another mirror",
    );
    hub.fails_with(|request| request.target.starts_with("/cdn/").then_some(Fault::Wrong));
    hub.error_is(
        "transformer/model.safetensors is not what the hub lists (its checksum differs); run \
         again later, or set HF_ENDPOINT to another mirror",
    );
}

#[test]
fn cancelling_stops_soon_and_the_next_run_goes_on() {
    let hub = FakeHub::start("", &film_files());
    hub.fails_with(|request| {
        let content = request.method == "GET" && request.target.starts_with("/cdn/");
        content.then_some(Fault::Stall(120_000))
    });
    let watch = Watch {
        cancel_at: Some(120_000),
        ..Watch::default()
    };
    let error = hub
        .fetch_until(hub.config(), &watch, &watch.cancel)
        .unwrap_err();
    let elapsed = watch.cancelled_at.lock().unwrap().unwrap().elapsed();
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert!(!hub.is_published());

    hub.fails_with(|_| None);
    hub.fetch().unwrap();
    assert_eq!(hub.content_requests(), [120_000]);
}

#[test]
fn a_cancelled_download_may_have_waited_for_the_first_answer() {
    let hub = FakeHub::start("", &film_files());
    hub.fails_with(|_| Some(Fault::Stall(0)));
    let cancel = Cancel::new();
    let start = std::thread::scope(|scope| {
        let fetch = scope.spawn(|| hub.fetch_until(hub.config(), &(), &cancel));
        std::thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        cancel.cancel();
        assert!(matches!(
            fetch.join().unwrap().unwrap_err(),
            Error::Cancelled
        ));
        start
    });
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_hub_that_falls_silent_is_given_up() {
    let hub = FakeHub::start("", &film_files());
    hub.fails_with(|_| Some(Fault::Stall(0)));
    let mut config = hub.config();
    config.patience = Some(Duration::from_millis(500));
    let error = hub.fetch_with(config.clone(), &()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot download acme/film from {}: no answer for 0.5 s; check the network and \
             HTTPS_PROXY, or set HF_ENDPOINT to a mirror",
            hub.endpoint
        )
    );
    hub.fails_with(|request| {
        let content = request.method == "GET" && request.target.starts_with("/cdn/");
        content.then_some(Fault::Stall(0))
    });
    let error = hub.fetch_with(config, &()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot download acme/film from {}: transformer/model.safetensors stopped arriving (no \
             answer for 0.5 s); run again to go on from there, or set HF_ENDPOINT to a mirror",
            hub.endpoint
        )
    );
}

#[test]
fn a_hub_that_is_not_there_is_named_with_the_remedy() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::new(HubConfig {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        cache_dir: Some(cache.path().into()),
        token: Some("x".into()),
        ..HubConfig::default()
    })
    .unwrap();
    let error = hub
        .fetch(&film(), &is_engine_file, &(), &Cancel::new())
        .unwrap_err();
    let refused =
        std::io::Error::from_raw_os_error(if cfg!(target_os = "macos") { 61 } else { 111 });
    assert_eq!(
        error.to_string(),
        format!(
            "cannot download acme/film from http://127.0.0.1:{port}: no connection ({refused}); \
             check the network and HTTPS_PROXY, or set HF_ENDPOINT to a mirror"
        )
    );
}

#[test]
fn every_refusal_of_the_hub_has_its_remedy() {
    let hub = FakeHub::start("", &film_files());
    let page = format!("{}/acme/film", hub.endpoint);
    let gated = format!(
        "access must be asked for (HTTP 403: ask first); accept its terms at {page} and set \
         HF_TOKEN to a token of the same account"
    );
    let cases = [
        (Fault::Status(403, "GatedRepo", "ask first"), gated.as_str()),
        (
            Fault::Status(401, "RepoNotFound", "Repository not found"),
            "it does not exist, or not for everyone (HTTP 401: Repository not found); check the \
             name; for a private or gated repository set HF_TOKEN to a token that may read it",
        ),
        (
            Fault::Status(403, "", ""),
            "access is refused (HTTP 403); set HF_TOKEN to a token that may read it",
        ),
        (
            Fault::Status(404, "RepoNotFound", "Repository not found"),
            "it does not exist (HTTP 404: Repository not found); check the name (there is no local \
             path of that name either) and that HF_ENDPOINT has it",
        ),
        (
            Fault::Status(404, "RevisionNotFound", "Invalid rev id: main"),
            "it has no revision main (HTTP 404: Invalid rev id: main); name a branch, tag or commit \
             that it has",
        ),
        (
            Fault::Status(429, "", "slow down"),
            "too many requests (HTTP 429: slow down); wait a while and run again to go on, or set \
             HF_TOKEN for a higher limit",
        ),
        (
            Fault::Status(503, "", "maintenance"),
            "the hub failed (HTTP 503: maintenance); run again later, or set HF_ENDPOINT to a \
             mirror",
        ),
        (
            Fault::Body("<html>log in</html>".into()),
            "its answer is not that of a hub (expected value at line 1 column 1); check \
             HF_ENDPOINT, and whether the network wants a login",
        ),
        (
            Fault::Body(r#"{"id":"acme/film"}"#.into()),
            "its answer is not that of a hub (no commit); check HF_ENDPOINT, and whether the \
             network wants a login",
        ),
    ];
    for (fault, expected) in cases {
        hub.fails_with(move |_| Some(fault.clone()));
        hub.error_is(expected);
    }

    // Some repositories are listed for all and gated for content only.
    hub.fails_with(|request| {
        let content = request.target.contains("/resolve/");
        content.then_some(Fault::Status(403, "GatedRepo", "ask first"))
    });
    // The answer to HEAD has no body, and so no message.
    hub.error_is(&gated.replace("HTTP 403: ask first", "HTTP 403"));
}

#[test]
fn a_hub_cannot_write_outside_the_cache() {
    let hub = FakeHub::start("", &film_files());
    hub.fails_with(|request| {
        request.target.contains("/tree/").then(|| {
            let entry = r#"[{"type":"file","oid":"0a","size":1,"path":"../../../config.json"}]"#;
            Fault::Body(entry.into())
        })
    });
    hub.error_is(
        "its answer is not that of a hub (it lists a file \"../../../config.json\"); check \
         HF_ENDPOINT, and whether the network wants a login",
    );
}

#[test]
fn a_repository_larger_than_the_disk_is_refused_before_it_is_downloaded() {
    let hub = FakeHub::start("", &film_files());
    hub.fails_with(|request| {
        request.target.contains("/tree/").then(|| {
            let entry = r#"[{"type":"file","oid":"0a","size":9000000000000000,"path":"a.bin"}]"#;
            Fault::Body(entry.into())
        })
    });
    let error = hub.fetch().unwrap_err();
    assert!(matches!(error, Error::Exhausted { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with(&format!(
            "acme/film needs 9000.0 TB of disk space in {}, ",
            hub.cache.path().display()
        )) && text
            .ends_with(" is free; free some space, or set HF_HOME to a directory on a larger disk"),
        "{text}"
    );
    assert!(!hub.repo_dir().exists());
}

#[test]
fn a_repository_without_a_model_says_what_it_has() {
    let hub = FakeHub::start("", &[("teaser.png", noise(10)), ("train.py", noise(10))]);
    assert_eq!(
        hub.fetch().unwrap_err().to_string(),
        "acme/film has no file that the engine can use; it has teaser.png, train.py"
    );
}

#[test]
fn offline_the_cache_is_all_there_is() {
    let hub = FakeHub::start("", &film_files());
    let mut config = hub.config();
    config.offline = true;
    assert_eq!(
        hub.fetch_with(config.clone(), &()).unwrap_err().to_string(),
        format!(
            "acme/film is not in the cache {} and --offline forbids downloading it; run once \
             without --offline, or give a directory",
            hub.cache.path().display()
        )
    );
    assert!(hub.requests.lock().unwrap().is_empty());

    let online = hub.fetch().unwrap();
    hub.requests.lock().unwrap().clear();
    assert_eq!(hub.fetch_with(config.clone(), &()).unwrap(), online);
    let at_commit = RepoId::parse(&format!("acme/film@{COMMIT}")).unwrap();
    let pinned = Hub::new(config)
        .unwrap()
        .fetch(&at_commit, &is_engine_file, &(), &Cancel::new())
        .unwrap();
    assert_eq!(pinned, online);
    assert!(hub.requests.lock().unwrap().is_empty());
}

#[test]
fn an_address_that_is_none_is_refused() {
    let hub = |endpoint: &str| {
        Hub::new(HubConfig {
            endpoint: Some(endpoint.into()),
            ..HubConfig::default()
        })
    };
    assert_eq!(
        hub("mirror.example").unwrap_err().to_string(),
        "the hub's address \"mirror.example\" (HF_ENDPOINT) does not start with https:// or http://"
    );
    assert_eq!(
        hub("http://:x").unwrap_err().to_string(),
        "the hub \"http://:x\" (HF_ENDPOINT) cannot be used: empty host"
    );
}

#[test]
fn two_downloads_at_once_share_the_work() {
    let hub = FakeHub::start("", &film_files());
    std::thread::scope(|scope| {
        let fetches: Vec<_> = (0..3).map(|_| scope.spawn(|| hub.fetch())).collect();
        for fetch in fetches {
            fetch.join().unwrap().unwrap();
        }
    });
    assert_eq!(hub.content_requests(), [0]);
}

/// The part of the next test that runs in a process with its own environment.
#[test]
fn child_with_an_environment() {
    if std::env::var_os("HUB_TEST_CHILD").is_some() {
        let snapshot = Hub::from_env()
            .unwrap()
            .fetch(&film(), &is_engine_file, &(), &Cancel::new())
            .unwrap();
        println!("snapshot at {}", snapshot.dir.display());
    }
}

#[test]
fn a_mirror_with_a_path_a_home_and_a_token_come_from_the_environment() {
    let hub = FakeHub::start("/mirror/hub", &film_files());
    let home = hub.cache.path().join("home");
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_with_an_environment", "--nocapture"])
        .env("HUB_TEST_CHILD", "1")
        .env("HF_ENDPOINT", &hub.endpoint)
        .env("HF_HOME", &home)
        .env("HF_TOKEN", "hf_from_env")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HUGGINGFACE_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_HUB_DISABLE_IMPLICIT_TOKEN")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let dir = home.join("hub/models--acme--film/snapshots").join(COMMIT);
    assert!(
        text.contains(&format!("snapshot at {}", dir.display())),
        "{text}{errors}"
    );
    assert_eq!(fs::read(dir.join("model_index.json")).unwrap(), b"{}");
    let requests = hub.requests.lock().unwrap();
    assert_eq!(requests[0].token.as_deref(), Some("Bearer hf_from_env"));
}
