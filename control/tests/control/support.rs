//! A controller without adapters: it keeps the log in memory.

use splitway_control::{
    Actor, Body, Command, Condition, Evidence, Gate, Head, Input, Intent, Measure, Phase, Policies, Reaction,
    Rule, Sample, State, Tally, Time, react,
};

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const DAY: i64 = 86_400_000;

pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) evidence: Evidence,
    pub(crate) log: Vec<(String, Head)>,
    pub(crate) now: Time,
}

pub(crate) fn ann() -> Actor {
    Actor::person("ann").unwrap()
}

pub(crate) fn bob() -> Actor {
    Actor::person("bob").unwrap()
}

impl World {
    /// With these experiments, in YAML, and a source of evidence that answers.
    pub(crate) fn new(experiments: &str) -> Self {
        let mut world = Self {
            state: State::default(),
            evidence: Evidence::default(),
            log: Vec::new(),
            now: Time(1_800_000_000_000),
        };
        world.intend(experiments);
        let source = Input::Source { source: "admin".into(), condition: Condition::Fresh };
        world.input(&Actor::Schedule, source);
        world
    }

    pub(crate) fn intend(&mut self, experiments: &str) {
        let text = format!(
            "version: 1\nunit: [{{ cookie: uid }}]\nlayers: [{{ id: page }}, {{ id: l }}, {{ id: m }}, {{ id: n }}]\n\
             experiments:\n{experiments}"
        );
        let intent = Intent::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems}"));
        self.input(&Actor::Git("gitta".into()), Input::Intent(intent));
    }

    pub(crate) fn policies(&mut self, text: &str) {
        let policies = Policies::from_yaml(&format!("version: 1\n{text}"));
        let policies = policies.unwrap_or_else(|problems| panic!("{problems}"));
        self.input(&ann(), Input::Policies(policies));
    }

    pub(crate) fn input(&mut self, actor: &Actor, input: Input) -> Reaction {
        let reaction = react(&self.state, &self.evidence, actor, &input, self.now);
        for sealed in &reaction.events {
            self.log.push((sealed.text.clone(), sealed.head));
        }
        self.state = reaction.state.clone();
        reaction
    }

    /// A command that must pass.
    pub(crate) fn ask(&mut self, actor: &Actor, command: Command) {
        let reaction = self.input(actor, Input::Command(command.clone()));
        assert_eq!(reaction.refusal, None, "{command:?}");
    }

    /// The rules that refuse a command.
    pub(crate) fn refused(&mut self, actor: &Actor, command: Command) -> Vec<Rule> {
        let before = self.state.seq();
        let reaction = self.input(actor, Input::Command(command));
        assert_eq!(self.state.seq(), before + 1, "a refusal is one event");
        assert!(matches!(reaction.events[0].event.body, Body::Refused { .. }));
        reaction.refusal.unwrap().reasons.iter().map(|reason| reason.code).collect()
    }

    pub(crate) fn enqueue(&mut self, id: &str) {
        self.ask(&ann(), Command::Enqueue { experiment: id.into() });
    }

    pub(crate) fn approve(&mut self, by: &Actor, id: &str, gate: Gate) {
        let hash = self.state.experiment(id).unwrap().definition.hash().to_owned();
        self.ask(by, Command::Approve { experiment: id.into(), hash, gate });
    }

    /// Time passes, then a tick.
    pub(crate) fn wait(&mut self, milliseconds: i64) -> Reaction {
        self.now = Time(self.now.0 + milliseconds);
        self.input(&Actor::Schedule, Input::Tick)
    }

    pub(crate) fn phase(&self, id: &str) -> Phase {
        match (self.state.experiment(id), self.state.archived(id)) {
            (Some(one), None) => one.phase,
            (None, Some(_)) => Phase::Archived,
            other => panic!("{id}: {other:?}"),
        }
    }

    pub(crate) fn held(&self, id: &str) -> Vec<Rule> {
        self.state.experiment(id).unwrap().held.iter().map(|reason| reason.code).collect()
    }

    /// The traffic of an experiment in the wanted document.
    pub(crate) fn delivered(&self, id: &str) -> Option<String> {
        let document = splitway_control::compose(&self.state).unwrap().unwrap();
        assert_eq!(Some(&document.hash), self.state.wanted().map(|wanted| &wanted.document));
        let whole: serde_json::Value = serde_json::from_str(&document.text).unwrap();
        let list = whole["experiments"].as_array().unwrap();
        let one = list.iter().find(|one| one["id"] == id)?;
        Some(format!("{} {}", one["status"].as_str().unwrap(), one["traffic"].as_str().unwrap()))
    }

    pub(crate) fn count(&mut self, proxy: &str, id: &str, variant: &str, units: u64, bad: u64) {
        self.evidence.observe(Sample {
            proxy: proxy.into(),
            boot: "1".into(),
            version: "v".into(),
            experiment: id.into(),
            variant: variant.into(),
            measure: Measure::Errors,
            tally: Tally { units, bad },
        });
    }
}

/// Two arms, no rollout.
pub(crate) fn plain(id: &str) -> String {
    format!("  - {{ id: {id}, variants: [{{ id: a }}, {{ id: b }}] }}\n")
}

/// Two arms and a rollout.
pub(crate) fn ramp(id: &str, rollout: &str) -> String {
    format!("  - {{ id: {id}, variants: [{{ id: a }}, {{ id: b }}], rollout: {{ {rollout} }} }}\n")
}
