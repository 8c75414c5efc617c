//! Samples of shards, and fits that go on after an interruption.

use rhobasis::Structure;
use rhobasis::correlations::{Nice, NiceFit, NiceSample, NiceSelection, NiceSettings, remove_nice_checkpoint};
use rhobasis::density::{Density, ExpansionSettings, Primitive, Sigma, SphericalExpansion};
use rhobasis::files::Stored;
use rhobasis::optimal::{Shard, SourceFile, Task};

use super::{expansion, fit, molecules, some};

fn sample_of(expansion: &SphericalExpansion, n_max: usize, structures: &[Structure]) -> NiceSample {
    let mut sample = NiceSample::new(expansion, n_max).unwrap();
    sample.add(structures).unwrap();
    sample
}

fn source(path: &str, frames: usize) -> SourceFile {
    SourceFile { path: path.into(), frames, sha256: "0".repeat(64) }
}

#[test]
fn samples_of_shards_make_the_sample_of_all_to_the_last_bit() {
    let (expansion, structures) = (expansion(2, 2), molecules(30));
    let folder = tempfile::tempdir().unwrap();
    let part = |index: usize, structures: &[Structure]| {
        let mut sample = sample_of(&expansion, 50, structures);
        sample.set_files(vec![source("all.xyz", structures.len())], Some(Shard::new(index, 3).unwrap()));
        let path = folder.path().join(format!("{index}.sample"));
        sample.save(&path).unwrap();
        path
    };
    let paths: Vec<_> = [3, 1, 2].map(|k| part(k, &structures[10 * k - 10..10 * k])).into();
    let merged = NiceSample::merge_files(&paths).unwrap();
    let mut whole = sample_of(&expansion, 50, &structures);
    whole.set_files(vec![source("all.xyz", 30)], None);
    assert_eq!(merged.to_bytes(), whole.to_bytes());
    let settings = NiceSettings { n_centers: 50, ..some(3, NiceSelection::Cholesky) };
    assert_eq!(Nice::fit(&settings, &merged).unwrap(), Nice::fit(&settings, &whole).unwrap());
    let says = |paths: &[_], part: &str| {
        let message = NiceSample::merge_files(paths).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    says(&paths[..2], "make shard 2/3 with features --save-sample --shard");
    let twice: Vec<_> = paths.iter().chain(&paths[..1]).cloned().collect();
    says(&twice, "its frames would count twice");
}

#[test]
fn samples_of_other_bases_or_sizes_do_not_go_together() {
    let structures = molecules(3);
    let mut sample = sample_of(&expansion(2, 2), 50, &structures);
    let mut refuses = |other: NiceSample, part: &str| {
        let message = sample.merge(other).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refuses(sample_of(&expansion(3, 2), 50, &structures), "the other sample has [6, 6, 6] channels");
    let density = Density { r_cut: 4.0, sigma: Sigma::Same(0.4), ..Density::default() };
    let settings =
        ExpansionSettings { density, primitive: Primitive::Gto { n_max: 2 }, l_max: 2, ..Default::default() };
    let wider = SphericalExpansion::new(&settings, &[1, 8]).unwrap();
    refuses(sample_of(&wider, 50, &structures), "other radial functions");
    refuses(sample_of(&expansion(2, 2), 40, &structures), "n_centers = 50: the other sample is one of 40");
    let mut read = NiceSample::from_bytes(&sample.to_bytes()).unwrap();
    let message = read.add(&structures).unwrap_err().to_string();
    assert!(message.contains("does not hold the basis"), "{message}");
    // Fewer atoms of a larger sample are those of a smaller one; more were never there.
    let (large, small) = (sample_of(&expansion(2, 2), 15, &structures), sample_of(&expansion(2, 2), 9, &structures));
    let settings = |n_centers| NiceSettings { n_centers, ..some(3, NiceSelection::Cholesky) };
    assert_eq!(Nice::fit(&settings(9), &large).unwrap(), Nice::fit(&settings(9), &small).unwrap());
    let message = Nice::fit(&settings(16), &large).unwrap_err().to_string();
    assert!(message.contains("cut at 15 atoms"), "{message}");
}

#[test]
fn a_fit_that_goes_on_from_a_checkpoint_has_the_same_bits() {
    let (expansion, structures) = (expansion(2, 2), molecules(40));
    let settings = NiceSettings { n_centers: 100, ..some(4, NiceSelection::Cholesky) };
    let whole = fit(&settings, &expansion, &structures);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.ckpt");
    let task = Task { files: vec![source("all.xyz", 0)], shard: None };

    let begun = sample_of(&expansion, 100, &structures[..17]);
    begun.save_checkpoint(&path, &task, 17).unwrap();
    let mut sample = NiceSample::new(&expansion, 100).unwrap();
    assert_eq!(sample.resume(&path, &task).unwrap(), Some(17));
    assert_eq!(sample.n_structures(), 17);
    sample.add(&structures[17..]).unwrap();
    assert_eq!(sample.to_bytes(), sample_of(&expansion, 100, &structures).to_bytes());

    let mut first = NiceFit::new(&settings, &sample, None, None).unwrap();
    assert!(!first.resume(&path, &task).unwrap());
    first.next_order().unwrap();
    for done in [2, 3] {
        first.save_checkpoint(&path, &task, 40).unwrap();
        let mut sample = NiceSample::new(&expansion, 100).unwrap();
        assert_eq!(sample.resume(&path, &task).unwrap(), Some(40));
        let mut second = NiceFit::new(&settings, &sample, None, None).unwrap();
        assert!(second.resume(&path, &task).unwrap());
        assert_eq!(second.done(), done);
        while second.done() < settings.nu_max {
            second.next_order().unwrap();
        }
        assert_eq!(second.finish().unwrap().to_bytes(), whole.to_bytes());
        first.next_order().unwrap();
    }

    let refuses = |outcome: rhobasis::Result<bool>, part: &str| {
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("or remove the checkpoint to start anew"), "{message}");
    };
    let other = NiceSettings { n_invariants: 19, ..settings.clone() };
    let resume =
        |settings: &NiceSettings, q_max| NiceFit::new(settings, &sample, q_max, None).unwrap().resume(&path, &task);
    refuses(resume(&other, None), "n_invariants = 20, and this run has n_invariants = 19");
    refuses(resume(&settings, Some(1)), "another part of the channels");
    let changed = Task { files: vec![SourceFile { sha256: "1".repeat(64), ..source("all.xyz", 0) }], shard: None };
    refuses(sample.resume(&path, &changed).map(|_| false), "the content of all.xyz has changed");
    let mut larger = NiceSample::new(&expansion, 101).unwrap();
    refuses(larger.resume(&path, &task).map(|_| false), "n_centers = 101");
    remove_nice_checkpoint(&path).unwrap();
    assert_eq!(sample.resume(&path, &task).unwrap(), None);
}
