"""Credentials follow from the master secret, the purpose and the epoch, and from nothing else."""

from __future__ import annotations

import base64

import pytest

from modules.kit.credentials import CredentialError, Credentials, derive, derive_bytes, master_bytes

MASTER = bytes(range(32))
OTHER = bytes(range(1, 33))


def test_the_same_purpose_and_epoch_give_the_same_password() -> None:
    assert derive(MASTER, "kueue/webhook", 1) == derive(MASTER, "kueue/webhook", 1)


def test_what_is_derived_today_is_derived_forever() -> None:
    assert derive(MASTER, "tenants/atlas/s3", 1) == "ZM3R9nD635SjbcJDPIu5kXGEUMmMgBrc", (
        "a changed derivation rotates every credential of every deployment at once"
    )


@pytest.mark.parametrize(
    ("master", "purpose", "epoch"),
    [(OTHER, "a/b", 1), (MASTER, "a/c", 1), (MASTER, "a/b", 2)],
    ids=["master", "purpose", "epoch"],
)
def test_each_part_of_the_derivation_changes_the_password(master: bytes, purpose: str, epoch: int) -> None:
    assert derive(master, purpose, epoch) != derive(MASTER, "a/b", 1)


def test_a_short_password_is_not_the_beginning_of_a_long_one() -> None:
    assert not derive(MASTER, "a/b", 1, 64).startswith(derive(MASTER, "a/b", 1, 16))


def test_parts_of_a_purpose_cannot_run_into_the_epoch_or_the_length() -> None:
    derived = {
        derive(MASTER, purpose, epoch, 20)
        for purpose in ("a/b", "a/b1", "a/b.1", "a/b/1")
        for epoch in (1, 11)
    }
    assert len(derived) == 8


@pytest.mark.parametrize("length", [1, 16, 32, 64, 128])
def test_a_password_has_its_length_and_needs_no_quoting(length: int) -> None:
    password = derive(MASTER, "a/b", 1, length)
    assert len(password) == length
    assert password.isascii()
    assert password.isalnum()


def test_letters_and_digits_are_drawn_evenly() -> None:
    drawn = "".join(derive(MASTER, f"a/{number}", 1, 62) for number in range(100))
    counts = [drawn.count(letter) for letter in set(drawn)]
    assert len(counts) == 62
    assert min(counts) > 60, "100 of each are expected, with a deviation of 10"
    assert max(counts) < 145, "100 of each are expected, with a deviation of 10"


@pytest.mark.parametrize(
    "text",
    [
        MASTER.hex(),
        MASTER.hex().upper(),
        base64.b64encode(MASTER).decode(),
        base64.urlsafe_b64encode(MASTER).decode().rstrip("="),
        f" {MASTER.hex()}\n",
    ],
    ids=["hex", "upper-case hex", "base64", "URL-safe base64 without padding", "with white space around"],
)
def test_a_master_secret_may_be_written_in_the_usual_ways(text: str) -> None:
    assert master_bytes(text) == MASTER


@pytest.mark.parametrize(
    ("master", "complaint"),
    [
        ("", "neither hexadecimal nor base64"),
        ("correct horse battery staple and more", "neither hexadecimal nor base64"),
        (MASTER[:31].hex(), "holds 31 bytes"),
        (base64.b64encode(MASTER[:24]).decode(), "holds 24 bytes"),
        (b"\0" * 32, "repeats itself"),
        ("00" * 64, "repeats itself"),
        ("A" * 45, "cut short"),
    ],
)
def test_a_weak_or_broken_master_secret_is_refused(master: bytes | str, complaint: str) -> None:
    with pytest.raises(CredentialError, match=complaint):
        derive(master, "a/b", 1)


def test_a_refusal_does_not_print_the_secret() -> None:
    secret = "correct horse battery staple!"
    with pytest.raises(CredentialError) as refusal:
        Credentials.of(secret)
    assert "horse" not in str(refusal.value)


@pytest.mark.parametrize(
    "purpose",
    ["", "webhook", "kueue/", "/kueue", "Kueue/webhook", "kueue/web hook", "kueue//webhook", "a/b\n2"],
)
def test_a_purpose_that_names_no_owner_is_refused(purpose: str) -> None:
    with pytest.raises(CredentialError, match="is no path"):
        derive_bytes(MASTER, purpose, 1, 32)


@pytest.mark.parametrize("epoch", [0, -1, 1001])
def test_an_epoch_out_of_range_is_refused(epoch: int) -> None:
    with pytest.raises(CredentialError, match="credential epoch"):
        derive(MASTER, "a/b", epoch)


def test_credentials_do_not_show_the_master_secret() -> None:
    credentials = Credentials.of(MASTER.hex())
    assert repr(credentials) == "Credentials(epoch=1)"


def test_bad_credentials_are_refused_before_anything_is_derived() -> None:
    with pytest.raises(CredentialError):
        Credentials(b"short")
    with pytest.raises(CredentialError):
        Credentials(MASTER, 0)


def test_the_first_epoch_has_none_before_it() -> None:
    credentials = Credentials(MASTER, 2)
    first = credentials.previous()
    assert first == Credentials(MASTER, 1)
    assert first is not None
    assert first.previous() is None
    assert first.password("a/b") != credentials.password("a/b")
    assert credentials.key("a/b") == derive_bytes(MASTER, "a/b", 2, 32)
