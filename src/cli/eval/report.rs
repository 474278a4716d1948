//! A run written down: `report.html` to read, `runs.jsonl` and `metrics.json` to compare.

use std::fs;
use std::path::Path;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use serde::Serialize;
use serde_json::json;

use super::play::Played;
use super::scenario::Scenario;
use super::score::{Metric, Verdict};
use crate::cli::CliError;

/// What there is to report.
#[derive(Serialize)]
pub struct Run<'a> {
    /// The suite.
    pub path: &'a str,
    /// The language model.
    pub model: &'a str,
    /// Every scenario.
    #[serde(skip)]
    pub runs: &'a [(Scenario, Played, Verdict)],
    /// The numbers.
    pub metrics: &'a [Metric],
    /// The bounds that were not kept.
    pub broken: &'a [String],
}

const PAGE: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{ path }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top }
.bad { color: #a11 } .caller { font-weight: 600 } .small { color: #666; font-size: .85em } details { margin: .3rem 0 }
</style>
<h1>{{ path }}</h1>
<p>Language model: {{ model }}. {{ failed }} of {{ runs | length }} scenarios failed.</p>
{% for line in broken %}<p class="bad">{{ line }}</p>{% endfor %}
<table><tr><th>metric<th>value<th>n</tr>
{% for m in metrics %}<tr><td>{{ m.metric }}<td>{{ m.value | round(4) }} {{ m.unit }}<td>{{ m.n }}</tr>{% endfor %}</table>
{% for run in runs %}
<details{% if run.problems %} open{% endif %}><summary{% if run.problems %} class="bad"{% endif %}>{{ run.name }} <span class="small">{{ run.kind }}</span></summary>
{% for problem in run.problems %}<p class="bad">{{ problem }}</p>{% endfor %}
<table>{% for turn in run.turns %}
<tr><td class="caller">{{ turn.caller }}<td>
{% for said in turn.said %}{{ said.text }}{% if said.fixed %} <span class="small">{{ said.fixed }}</span>{% endif %}<br>{% endfor %}
{% if turn.handoff %}<b>→ person: {{ turn.handoff.reason }}</b> <span class="small">{{ turn.handoff.signals }}</span><br>{% endif %}
<span class="small">found {{ turn.found | join(", ") }}{% if turn.evidence %} · entry {{ turn.evidence.score | round(2) }}, answer {{ turn.evidence.probability | round(2) }}{% if turn.evidence.chosen %}, picked {{ turn.evidence.chosen | round(2) }}{% endif %}{% if turn.evidence.verbatim %}, approved{% endif %}{% endif %}{% if turn.blocked %} · stopped: {{ turn.blocked }}{% endif %} · {{ turn.thought_ms }} ms</span>
</tr>{% endfor %}</table></details>
{% endfor %}
</html>
"#;

/// Writes all files of a report.
pub fn write(folder: &Path, run: &Run<'_>) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| {
        CliError::failed(format!("the report can't be written into {}: {error}", folder.display()), "")
    };
    fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let rows: Vec<serde_json::Value> = run
        .runs
        .iter()
        .map(|(scenario, played, verdict)| {
            json!({
                "name": scenario.name,
                "kind": scenario.kind,
                "opening": played.opening,
                "turns": played.turns,
                "outcome": played.outcome,
                "problems": verdict.problems,
                "answers": verdict.answers,
                "person_at": verdict.person_at,
            })
        })
        .collect();
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(folder.join("runs.jsonl"), lines).map_err(|error| failed(&error))?;
    let metrics = serde_json::to_string_pretty(run).expect("metrics are plain data");
    fs::write(folder.join("metrics.json"), metrics).map_err(|error| failed(&error))?;
    let mut pages = Environment::new();
    // The name's ending makes minijinja escape what callers and models say.
    pages.add_template("report.html", PAGE).expect("a constant template");
    let count = rows.iter().filter(|row| row["problems"].as_array().is_some_and(|list| !list.is_empty())).count();
    let page = pages
        .get_template("report.html")
        .and_then(|page| {
            page.render(context! {
                path => run.path, model => run.model, failed => count,
                broken => Value::from(Serde(run.broken)), metrics => Value::from(Serde(run.metrics)),
                runs => Value::from(Serde(&rows)),
            })
        })
        .map_err(|error| failed(&error))?;
    fs::write(folder.join("report.html"), page).map_err(|error| failed(&error))
}
