//! The Helm chart: the kustomize base, with what installations differ in as values.

use serde_json::{Value, json};

use crate::files::Files;
use crate::kubernetes::yaml;
use crate::object::Object;
use crate::refusal::Refusal;
use crate::subject::Subject;

/// A place in an object that a value of the chart fills: the object's kind, where, the value's
/// name, and how many blanks its YAML is indented by (none: one line).
const HOLES: [(&str, &str, &str, Option<usize>); 6] = [
    ("WasmPlugin", "/spec/url", "url", None),
    ("WasmPlugin", "/spec/sha256", "sha256", None),
    ("WasmPlugin", "/spec/failStrategy", "failStrategy", None),
    ("WasmPlugin", "/spec/pluginConfig", "experiments", Some(4)),
    ("VirtualService", "/spec/hosts", "hosts", Some(4)),
    ("VirtualService", "/spec/gateways", "gateways", Some(4)),
];

/// Adds a Helm chart of `objects` to `files`.
pub(crate) fn write(subject: &Subject, objects: &[Object], files: &mut Files) -> Result<(), Refusal> {
    let mut values = json!({});
    for object in objects {
        let mut value = object.value.clone();
        let kind = value["kind"].as_str().unwrap_or_default().to_owned();
        let mut holes = vec![];
        if let Some(namespace) = value.pointer_mut("/metadata/namespace") {
            *namespace = hole("release");
            holes.push(("release".to_owned(), "{{ .Release.Namespace }}".to_owned()));
        }
        for (_, place, name, indent) in HOLES.into_iter().filter(|(of, ..)| *of == kind) {
            let Some(place) = value.pointer_mut(place) else { continue };
            values[name] = std::mem::replace(place, hole(name));
            let filled = match indent {
                None => format!("{{{{ .Values.{name} | quote }}}}"),
                Some(indent) => format!("{{{{- toYaml .Values.{name} | nindent {indent} }}}}"),
            };
            holes.push((name.to_owned(), filled));
        }
        let mut text = yaml(&value)?;
        for (name, filled) in holes {
            let mark = format!("hole-{name}-hole");
            text = text.replace(&format!("\"{mark}\""), &filled).replace(&mark, &filled);
        }
        files.add(format!("templates/{}.yaml", object.file), text);
    }
    let chart = json!({
        "apiVersion": "v2",
        "name": "splitway",
        "description": "A/B traffic splitting in the proxies of an Istio mesh",
        "type": "application",
        "version": env!("CARGO_PKG_VERSION"),
        "appVersion": subject.plan.content_hash(),
    });
    files.add("Chart.yaml", yaml(&chart)?);
    files.add(
        "values.yaml",
        format!(
            "# The values that differ between installations. `experiments` is the config.\n{}",
            yaml(&values)?
        ),
    );
    Ok(())
}

fn hole(name: &str) -> Value {
    format!("hole-{name}-hole").into()
}
