//! Circles in arrows.

use std::collections::{BTreeMap, BTreeSet};

/// The nodes of a circle, the first of them again at its end.
pub(crate) fn circle(arrows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    arrows.keys().find_map(|start| walk(arrows, start, &mut Vec::new(), &mut done))
}

fn walk<'a>(
    arrows: &'a BTreeMap<String, BTreeSet<String>>,
    node: &'a str,
    way: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<String>> {
    if let Some(at) = way.iter().position(|known| *known == node) {
        return Some(way[at..].iter().chain([&node]).map(|name| (*name).to_owned()).collect());
    }
    if done.contains(node) {
        return None;
    }
    way.push(node);
    for next in arrows.get(node).into_iter().flatten() {
        if let Some(found) = walk(arrows, next, way, done) {
            return Some(found);
        }
    }
    way.pop();
    done.insert(node);
    None
}

#[test]
fn circles_are_found() {
    let arrows = |text: &str| {
        text.split(' ')
            .map(|pair| {
                let (from, to) = pair.split_once('>').unwrap();
                (from.to_owned(), to.split(',').map(str::to_owned).collect())
            })
            .collect()
    };
    assert_eq!(circle(&arrows("a>b,c b>c")), None);
    let found = circle(&arrows("a>b b>c c>d d>b")).unwrap();
    assert_eq!(found, ["b", "c", "d", "b"]);
}
