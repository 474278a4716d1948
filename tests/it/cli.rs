//! The command line as people script it: exit codes, what goes to stdout, what goes to stderr.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use warmline::config::Config;
use warmline::store::UserRole;
use warmline::store::sqlite::SqliteStore;
use warmline::telemetry::Secret;
use warmline::web::auth::Auth;

fn warmline(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warmline"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WARMLINE_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).args(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text").trim()
}

#[test]
fn config_check_prints_every_problem_and_exits_with_2() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, "[turn]\nhangover_ms = 1\nspeculate = 3\n[server]\nlisten = 7\n[colour]\nx = 1\n")
        .expect("written");
    let output = warmline(folder.path(), &["config", "check", "--config", "bad.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let told = text(&output.stderr);
    for part in ["turn.hangover_ms = 1: must be from 200 to 5000", "turn.speculate", "server.listen", "colour"] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }

    std::fs::write(&file, "[turn\n").expect("written");
    assert_eq!(warmline(folder.path(), &["--config", "bad.toml", "config", "check"]).status.code(), Some(2));
    let output = warmline(folder.path(), &["--config", "no-such-file.toml", "config", "check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no-such-file.toml"));
    assert_eq!(warmline(folder.path(), &["config", "check"]).status.code(), Some(0));
}

#[test]
fn config_show_prints_what_is_in_force_and_reads_it_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = "[turn]\nhangover_ms = 900\n[twilio]\nauth_token = \"hush\"\n";
    std::fs::write(folder.path().join("warmline.toml"), settings).expect("written");
    let output = warmline(folder.path(), &["config", "show"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stdout);
    assert!(!shown.contains("hush"));
    assert_eq!(Config::parse(shown, std::iter::empty()).expect("valid").turn.hangover_ms, 900);
}

#[test]
fn wrong_usage_exits_with_2() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for arguments in [&["frobnicate"][..], &[], &["user", "add", "kim", "--role", "king"], &["user", "add", "?"]] {
        assert_eq!(warmline(folder.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("data"), "a file, not a folder").expect("written");
    let output = warmline(folder.path(), &["user", "add", "kim"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("server.data_dir"), "the remedy names the key");
}

#[tokio::test]
async fn accounts_made_on_the_command_line_can_sign_in() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let added = warmline(folder.path(), &["user", "add", "Kim", "--role", "supervisor"]);
    assert_eq!(added.status.code(), Some(0), "{added:?}");
    let again = warmline(folder.path(), &["user", "add", "kim"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("warmline user reset"), "{again:?}");
    let reset = warmline(folder.path(), &["user", "reset", "kim"]);
    let token = warmline(folder.path(), &["user", "token", "kim"]);
    assert!(text(&token.stdout).starts_with("warmline_"));
    assert_eq!(warmline(folder.path(), &["user", "token", "nobody"]).status.code(), Some(1));

    let config = Config::default();
    let store = SqliteStore::open(&config.database.url, &folder.path().join(&config.server.data_dir)).await;
    let auth = Auth::new(Arc::new(store.expect("opens")), &config.server);
    let sign_in = async |password: &[u8]| {
        let password = Secret::new(text(password).to_owned());
        auth.sign_in("kim", password, [127, 0, 0, 1].into()).await
    };
    assert!(sign_in(&added.stdout).await.is_err(), "the reset replaced it");
    let session = sign_in(&reset.stdout).await.expect("signed in");
    assert_eq!((session.user.role, session.user.must_change_password), (UserRole::Supervisor, true));
}

#[test]
fn bench_bridge_joins_callers_with_people_and_says_what_it_measured() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = warmline(folder.path(), &["bench", "bridge", "--calls", "3", "--seconds", "4", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let metrics: std::collections::BTreeMap<String, serde_json::Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an object a line"))
        .map(|metric| (metric["metric"].as_str().expect("named").to_owned(), metric))
        .collect();
    let value = |name: &str| metrics[name]["value"].as_f64().expect("a number");
    assert_eq!(value("bridged_calls"), 3.0, "{metrics:?}");
    assert!(metrics["lateness_ms_p99"]["n"].as_u64() > Some(600), "six parties hear frames: {metrics:?}");
    assert!(metrics["bridge_added_ms_p95"]["n"].as_u64() > Some(3), "bursts are heard: {metrics:?}");
    assert!(value("bridge_added_ms_p95") >= value("bridge_added_ms_p50"), "{metrics:?}");
    assert!(value("mem_per_call_kb") >= 0.0 && value("core_ms_per_call_second") > 0.0, "{metrics:?}");
}

#[test]
fn bench_handoff_loses_nobody_in_a_storm_in_which_the_process_is_killed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let storm = "bench handoff --runs 30 --kills 3 --seed 5 --callers 6 --agents 4 --measured 0 --restarts 0 --json";
    let output = warmline(folder.path(), &storm.split(' ').collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let metrics: std::collections::BTreeMap<String, f64> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an object a line"))
        .map(|one| (one["metric"].as_str().expect("named").to_owned(), one["value"].as_f64().expect("a number")))
        .collect();
    for name in ["lost_callers", "double_bridges", "stuck_agents", "unclosed_records"] {
        assert_eq!(metrics[name], 0.0, "{name}: {metrics:?} {}", text(&output.stderr));
    }
    let killed: f64 = metrics.iter().filter(|(name, _)| name.starts_with("server_killed")).map(|(_, n)| n).sum();
    assert!(killed >= 1.0 && metrics["served"] > 0.0, "{metrics:?}");
}

#[test]
fn bench_handoff_loses_nobody_when_the_process_is_killed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["bench", "handoff", "--runs", "0", "--measured", "0", "--restarts", "6", "--json"];
    let output = warmline(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let value = |name: &str| {
        let metrics =
            text(&output.stdout).lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        metrics.into_iter().find(|metric| metric["metric"] == name).expect("printed")["value"].clone()
    };
    assert_eq!(value("restart_lost"), 0.0, "{}", text(&output.stderr));
    assert_eq!((value("restart_served"), value("restart_on_the_list")), (3.0.into(), 3.0.into()));
    assert_eq!(value("restart_unclosed_records"), 0.0);
}
