//! What a check of labels has found.

/// The label that a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// Total energy of a frame.
    Energy,
    /// Forces on its atoms.
    Forces,
    /// Its stress.
    Stress,
}

impl Label {
    /// All of them.
    pub const ALL: [Label; 3] = [Label::Energy, Label::Forces, Label::Stress];

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Label::Energy => "energy",
            Label::Forces => "forces",
            Label::Stress => "stress",
        }
    }
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sureness {
    /// The labels are off, for a reason that the check cannot tell.
    WorthALook,
    /// One explanation fits, and clearly better than the labels as they are.
    Likely,
    /// One explanation fits, and no accident of a model looks like it.
    Certain,
}

impl Sureness {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Sureness::Certain => "certain",
            Sureness::Likely => "likely",
            Sureness::WorthALook => "worth a look",
        }
    }
}

/// One suspicion.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The label it is about.
    pub label: Label,
    /// What is suspected.
    pub suspicion: String,
    /// How sure that is.
    pub sureness: Sureness,
    /// How many times smaller the deviation becomes if the suspicion is true; of an outlier, how many robust standard deviations
    /// it is off.
    pub factor: f64,
    /// What was seen.
    pub evidence: String,
    /// What to do.
    pub remedy: String,
    /// The frames, ascending.
    pub frames: Vec<usize>,
}

/// What was found, what was tested, and what could not be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LabelReport {
    /// Suspicions, those of most frames first.
    pub findings: Vec<Finding>,
    /// What was tested, and how sharply.
    pub tested: Vec<String>,
    /// What could not be tested, and why.
    pub untested: Vec<String>,
}

impl LabelReport {
    pub(super) fn sort(&mut self) {
        let rank = |f: &Finding| (std::cmp::Reverse(f.frames.len()), f.label, std::cmp::Reverse(f.sureness));
        self.findings.sort_by(|a, b| rank(a).cmp(&rank(b)).then(a.frames.cmp(&b.frames)));
    }
}
