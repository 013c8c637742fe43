//! Problems that only follow from another one.

use splitway_document::{Code, Path, Problems, Segment};

/// Drops what follows from another mistake: buckets are missing because an experiment is there twice, or belong to
/// nobody because they could not be read.
pub(super) fn drop_consequences(problems: &mut Problems) {
    let is_doubled = problems
        .iter()
        .any(|problem| is_experiments(&problem.path, "id") && problem.code == Code::DuplicateId);
    let wrong: Vec<Path> = problems
        .iter()
        .filter(|problem| problem.code == Code::WrongType)
        .map(|problem| problem.path.clone())
        .collect();
    problems.drop_consequences();
    problems.retain(|problem| match problem.code {
        Code::MissingField => !(is_doubled && is_experiments(&problem.path, "buckets")),
        Code::Overlap => !wrong.iter().any(|path| problem.path.contains(path)),
        _ => true,
    });
}

/// `experiments[i].field`, for any `i`.
fn is_experiments(path: &Path, field: &str) -> bool {
    match path.0.as_slice() {
        [Segment::Key(list), Segment::Index(_), Segment::Key(name)] => list == "experiments" && name == field,
        _ => false,
    }
}
