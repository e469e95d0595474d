use std::collections::BTreeSet;
use std::sync::Arc;

use guichet_engine::command::{Principal, Role};
use guichet_engine::ids::{CardId, PersonId, Reference};

use super::{NOT_PANS, OTHER_PAN, PAN};
use crate::secret::Pan;
use crate::vault::{Person, Purpose, VaultFault, VaultPort};

/// Who reads in these tests.
const WHO: Principal = Principal { role: Role::Agent, id: 7 };
/// Longer than any name, document or contact that may be kept, in bytes.
const TOO_LONG: usize = 100_000;

/// What every vault does. `open` opens it anew over the same storage, empty at first.
///
/// # Panics
/// Where the contract is broken.
pub fn vault(open: impl Fn() -> Arc<dyn VaultPort>) {
    who_is_not_there_is_unknown(&*open());
    people_and_cards_stay(&open);
    bad_forms_are_refused(&*open());
    an_erased_person_is_gone_and_no_other(&open);
    second_factors_are_folded(&open);
    many_at_once(&*open());
}

fn person(name: &str) -> Person {
    Person {
        name: name.to_owned(),
        document_kind: 1,
        document: "11010119900307123X".to_owned(),
        contact: String::new(),
        language: "zh".to_owned(),
    }
}

fn pan(digits: &str) -> Pan {
    Pan::new(digits.to_owned())
}

fn who_is_not_there_is_unknown(vault: &dyn VaultPort) {
    let (nobody, nothing) = (PersonId(u128::MAX), CardId(u128::MAX));
    assert_eq!(vault.person(nobody, WHO, Purpose::Enquiry), Err(VaultFault::Unknown));
    assert_eq!(vault.put_card(nobody, &pan(PAN)), Err(VaultFault::Unknown));
    assert_eq!(vault.pan(nothing, WHO, Purpose::BankMessage), Err(VaultFault::Unknown));
    assert_eq!(vault.card_mask(nothing), Err(VaultFault::Unknown));
    assert_eq!(vault.erase(nobody), Err(VaultFault::Unknown));
}

fn people_and_cards_stay(open: &dyn Fn() -> Arc<dyn VaultPort>) {
    let vault = open();
    let names = ["王小明", "Müller-Lüdenscheidt", "عائشة", "A"];
    let kept: Vec<_> = names
        .into_iter()
        .map(|name| {
            let id = vault.put_person(&person(name)).expect("kept");
            let cards = [PAN, OTHER_PAN].map(|pan| vault.put_card(id, &self::pan(pan)));
            (name, id, cards.map(|card| card.expect("kept")))
        })
        .collect();
    let again = vault.put_person(&person(names[0])).expect("kept");
    assert_ne!(again, kept[0].1, "who is entered twice is two");
    drop(vault);
    let vault = open();
    for (name, id, cards) in &kept {
        assert_eq!(vault.person(*id, WHO, Purpose::Ticket), Ok(person(name)));
        for (card, (digits, mask)) in
            cards.iter().zip([(PAN, "620000******0005"), (OTHER_PAN, "411111******1111")])
        {
            assert_eq!(vault.pan(card.card, WHO, Purpose::BankMessage), Ok(pan(digits)));
            assert_eq!(vault.card_mask(card.card).as_deref(), Ok(mask));
            assert_eq!(card.identity.mask, mask);
        }
        // The same card of another person is found by the same tag, in the same slot.
        assert_eq!(cards[0].identity, kept[0].2[0].identity);
        assert_ne!(cards[0].identity.tag, cards[1].identity.tag);
    }
    let people: BTreeSet<_> = kept.iter().map(|(_, id, _)| *id).collect();
    let cards: BTreeSet<_> = kept.iter().flat_map(|k| k.2.iter().map(|c| c.card)).collect();
    assert_eq!((people.len(), cards.len()), (names.len(), 2 * names.len()));
}

fn bad_forms_are_refused(vault: &dyn VaultPort) {
    let long = "x".repeat(TOO_LONG);
    for bad in [
        Person { name: String::new(), ..person("A") },
        Person { name: long.clone(), ..person("A") },
        Person { document: long.clone(), ..person("A") },
        Person { contact: long, ..person("A") },
    ] {
        let refused = vault.put_person(&bad);
        assert!(matches!(refused, Err(VaultFault::BadForm(_))), "{refused:?}");
    }
    let id = vault.put_person(&person("A")).expect("kept");
    for digits in NOT_PANS {
        let refused = vault.put_card(id, &pan(digits));
        assert!(matches!(refused, Err(VaultFault::BadForm(_))), "{digits}: {refused:?}");
    }
}

fn an_erased_person_is_gone_and_no_other(open: &dyn Fn() -> Arc<dyn VaultPort>) {
    let vault = open();
    let put = |name| {
        let id = vault.put_person(&person(name)).expect("kept");
        (id, vault.put_card(id, &pan(PAN)).expect("kept").card)
    };
    let ((gone, card), (stays, other)) = (put("A"), put("B"));
    vault.erase(gone).expect("erased");
    vault.erase(gone).expect("once more is no fault");
    let look = |vault: &dyn VaultPort| {
        assert_eq!(vault.person(gone, WHO, Purpose::Ticket), Err(VaultFault::Erased));
        assert_eq!(vault.pan(card, WHO, Purpose::BankMessage), Err(VaultFault::Erased));
        assert_eq!(vault.card_mask(card), Err(VaultFault::Erased));
        assert_eq!(vault.put_card(gone, &pan(PAN)), Err(VaultFault::Erased));
        assert_eq!(vault.person(stays, WHO, Purpose::Ticket), Ok(person("B")));
        assert_eq!(vault.pan(other, WHO, Purpose::BankMessage), Ok(pan(PAN)));
    };
    look(&*vault);
    drop(vault);
    look(&*open());
}

fn second_factors_are_folded(open: &dyn Fn() -> Arc<dyn VaultPort>) {
    let (a, b) = (Reference(*b"ABCDEFGHJK"), Reference(*b"ABCDEFGHJM"));
    let vault = open();
    let digest = vault.factor(a, "123X");
    assert_eq!(digest, vault.factor(a, " 12 3x "), "case and spaces");
    for other in [vault.factor(b, "123X"), vault.factor(a, "1234"), vault.factor(a, "")] {
        assert_ne!(digest, other);
    }
    drop(vault);
    assert_eq!(open().factor(a, "123X"), digest, "for as long as the order");
}

fn many_at_once(vault: &dyn VaultPort) {
    let all: BTreeSet<PersonId> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    let put = |n| {
                        let name = format!("{thread} {n}");
                        let id = vault.put_person(&person(&name)).expect("kept");
                        let card = vault.put_card(id, &pan(PAN)).expect("kept").card;
                        assert_eq!(vault.person(id, WHO, Purpose::Ticket), Ok(person(&name)));
                        assert_eq!(vault.pan(card, WHO, Purpose::BankMessage), Ok(pan(PAN)));
                        id
                    };
                    (0..8).map(put).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(all.len(), 32, "no two are one");
}
