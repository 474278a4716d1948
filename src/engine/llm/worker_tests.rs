use super::*;
use crate::engine::tests::write_program;

const PATIENCE: Duration = Duration::from_secs(60);

/// A worker that behaves as `script` (python) says. Its address is told on standard output like the real one's.
fn fake_worker(script: &str) -> (WorkerSpec, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join(PROGRAM);
    let text = format!(
        "#!/usr/bin/env python3\nimport http.server, json, os, sys, threading, time\n\
         class H(http.server.BaseHTTPRequestHandler):\n  def log_message(self, *a): pass\n  def do_GET(self):\n    self.send_response(200); self.end_headers(); self.wfile.write(b'{{}}')\n\
         def serve():\n  s = http.server.HTTPServer(('127.0.0.1', 0), H)\n  threading.Thread(target=s.serve_forever, daemon=True).start()\n  print(json.dumps({{'listening': '127.0.0.1:%d' % s.server_port}}), flush=True)\n\
         {script}\n"
    );
    write_program(&program, &text);
    let spec = WorkerSpec { program, model: "m.gguf".into(), threads: 1, threads_after_clause: 1, context: 2_048 };
    (spec, folder)
}

async fn becomes(status: &mut watch::Receiver<Option<Endpoint>>, ready: bool) -> Option<Endpoint> {
    let change = status.wait_for(|endpoint| endpoint.is_some() == ready);
    timeout(PATIENCE, change).await.expect("in time").expect("supervised").clone()
}

#[tokio::test]
async fn a_crashed_worker_is_started_again_and_stopped_with_us() {
    let script = "serve()\nwhile not os.path.exists(sys.argv[0] + '.crash'): time.sleep(0.02)\n\
                  os.remove(sys.argv[0] + '.crash')\nos._exit(3)";
    let (spec, folder) = fake_worker(script);
    let crash = spec.program.with_extension("crash");
    let cancel = CancellationToken::new();
    let (mut status, run) = supervise(spec, cancel.clone());
    let tracker = tokio_util::task::TaskTracker::new();
    tracker.spawn(run);
    let first = becomes(&mut status, true).await.expect("an address");
    std::fs::write(crash, "").expect("written");
    becomes(&mut status, false).await;
    let second = becomes(&mut status, true).await.expect("an address");
    assert_ne!(first, second, "another process at another address");
    cancel.cancel();
    tracker.close();
    timeout(PATIENCE, tracker.wait()).await.expect("stops");
    assert!(status.borrow().is_none());
    drop(folder);
}

#[tokio::test]
async fn a_worker_that_can_not_start_is_no_endpoint() {
    for script in ["os._exit(1)", "print('hello', flush=True)\nsys.stdin.read()"] {
        let (spec, _folder) = fake_worker(script);
        let (status, _) = watch::channel(None);
        let reason = timeout(PATIENCE, run_once(&spec, &status)).await.expect("gives up");
        assert!(!reason.is_empty() && status.borrow().is_none(), "{reason}");
    }
    let (mut spec, _folder) = fake_worker("");
    spec.program = "/nowhere/warmline-llm-worker".into();
    let (status, _) = watch::channel(None);
    assert!(run_once(&spec, &status).await.contains("could not be started"));
}
