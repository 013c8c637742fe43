//! Problems that only follow from another one.

use splitway_document::{Code, Path, Problems, Segment};

/// Drops what follows from another mistake: a field is missing because it is misspelt, buckets
/// are missing because an experiment is there twice.
pub(super) fn drop_consequences(problems: &mut Problems) {
    let mut misspelt = Vec::new();
    let mut unknown = Vec::new();
    let mut is_doubled = false;
    for problem in &*problems {
        is_doubled |= is_experiments(&problem.path, "id") && problem.code == Code::DuplicateId;
        let Some((_, parent)) = problem.path.0.split_last() else { continue };
        if problem.code != Code::UnknownField {
            continue;
        }
        misspelt.extend(problem.meant.as_deref().map(|meant| Path(parent.to_vec()).key(meant)));
        unknown.push(Path(parent.to_vec()));
    }
    let wrong: Vec<Path> = problems
        .iter()
        .filter(|problem| problem.code == Code::WrongType)
        .map(|problem| problem.path.clone())
        .collect();
    problems.retain(|problem| match problem.code {
        Code::MissingField => {
            let is_missing_twice = is_doubled && is_experiments(&problem.path, "buckets");
            // None of several fields, because the one that is there is unknown.
            let is_unknown = unknown.contains(&problem.path);
            !misspelt.contains(&problem.path) && !is_missing_twice && !is_unknown
        }
        // Who owns what nobody could read is not known.
        Code::Overlap => !wrong.iter().any(|path| problem.path.contains(path)),
        // A whole list of one mistake.
        Code::WrongType => !wrong.iter().any(|path| is_earlier_sibling(path, &problem.path)),
        _ => true,
    });
}

/// Whether two paths are entries of one list, `one` before `other`.
fn is_earlier_sibling(one: &Path, other: &Path) -> bool {
    match (one.0.split_last(), other.0.split_last()) {
        (Some((Segment::Index(first), list)), Some((Segment::Index(second), same))) => {
            first < second && list == same
        }
        _ => false,
    }
}

/// `experiments[i].field`, for any `i`.
fn is_experiments(path: &Path, field: &str) -> bool {
    match path.0.as_slice() {
        [Segment::Key(list), Segment::Index(_), Segment::Key(name)] => list == "experiments" && name == field,
        _ => false,
    }
}
