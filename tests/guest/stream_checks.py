# SPDX-License-Identifier: BSD-2-Clause
"""Unmodified programs on data piped in and out: byte for byte what the host prints."""

import gzip
import io
import random
import stat
import tarfile

from checks import check, equal
from guests import BUSYBOX, expect, guest, host_shell, same_as_host, shell, some_bytes, some_text

TEN_MEBIBYTES = 10 << 20


@check
def sort_and_md5sum_of_200000_numbers_give_what_the_host_prints():
    same_as_host("seq 1 200000 | sort -rn | md5sum")


@check
def ten_mebibytes_go_through_cat_unchanged():
    data = some_bytes(TEN_MEBIBYTES)
    equal(expect(guest(BUSYBOX, "cat", stdin=data)), data)


@check
def gzip_of_ten_mebibytes_gives_the_hosts_bytes():
    data = some_bytes(TEN_MEBIBYTES)
    found = expect(guest(BUSYBOX, "gzip", "-c", stdin=data))
    equal(gzip.decompress(found), data)
    # Bytes 4 to 7 are the time of the compression.
    expected = host_shell("gzip -c", stdin=data)
    equal(found[:4] + found[8:], expected[:4] + expected[8:])


@check
def gunzip_gives_ten_mebibytes_back():
    data = some_bytes(TEN_MEBIBYTES, seed=3)
    equal(expect(guest(BUSYBOX, "gunzip", "-c", stdin=gzip.compress(data, 6))), data)


@check
def awk_counts_and_adds_as_on_the_host():
    same_as_host("awk '{ count[$2]++; sum[$2] += $4; n += $1 % 7 } "
                 "END { for (w in count) print w, count[w], sum[w]; print n }' | sort",
                 stdin=some_text(20000))


@check
def text_tools_agree_with_the_host():
    same_as_host("tee /tmp/copy | grep -v page | cut -d' ' -f1,3 | sort -n | uniq | tr a-z A-Z | "
                 "sed 's/FRAME/f/' | head -n 5000 | tail -n 4000 | nl | rev | wc; "
                 "sha256sum < /tmp/copy; rm /tmp/copy", stdin=some_text(20000))


@check
def bytes_of_every_value_go_through_od():
    same_as_host("od -An -v -tx1", stdin=bytes(range(256)) * 16)


@check
def dd_cuts_and_pads_as_on_the_host():
    data = some_bytes(3_000_001, seed=4)
    same_as_host("dd bs=1000 skip=7 count=1234 iflag=fullblock 2>/dev/null", stdin=data)
    same_as_host("dd bs=4096 conv=sync iflag=fullblock 2>/dev/null", stdin=data)
    same_as_host("dd if=/dev/zero bs=1M count=5 2>/dev/null | md5sum; "
                 "dd of=/tmp/landhold-dd bs=64k seek=3 2>/dev/null; "
                 "md5sum < /tmp/landhold-dd; rm /tmp/landhold-dd", stdin=data)


def make_tree():
    """A tar archive of 300 files, directories and links."""
    generator, out = random.Random(5), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        def add(name, kind, mode, content=b"", target=""):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime = kind, mode, 1_600_000_000 + len(name)
            entry.size, entry.linkname = len(content), target
            archive.addfile(entry, io.BytesIO(content))
        for directory in range(20):
            add(f"d{directory}", tarfile.DIRTYPE, 0o755)
            for number in range(13):
                content = some_bytes(generator.choice((0, 1, 100, 4096, 20_000)), seed=number)
                add(f"d{directory}/file-{number}", tarfile.REGTYPE,
                    generator.choice((0o644, 0o600, 0o755)), content)
            add(f"d{directory}/link", tarfile.SYMTYPE, 0o777, target="file-3")
            add(f"d{directory}/{'long' * 20}", tarfile.REGTYPE, 0o644, b"x")
    return out.getvalue()


def contents(archive):
    """What a tar archive holds, whatever its order."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        return {entry.name.lstrip("./").rstrip("/"): (
            entry.type, stat.S_IMODE(entry.mode), entry.mtime if entry.isreg() else 0, entry.linkname,
            files.extractfile(entry).read() if entry.isreg() else b"") for entry in files}


@check
def tar_unpacks_a_tree_and_packs_the_same_tree():
    tree = make_tree()
    found = contents(shell("mkdir /tmp/t && cd /tmp/t && tar x && tar c d*", stdin=tree))
    expected = contents(tree)
    equal(sorted(found), sorted(expected), "the names")
    for name, entry in expected.items():
        equal(found[name], entry, name)


@check
def find_sees_the_tree_as_on_the_host():
    script = ("d=/tmp/landhold-find; mkdir $d && cd $d && tar x && "
              "{ find . -type f -size +4 | sort; find . -name '*-1*' -perm 600 | sort; "
              "find . -type l | sort | xargs readlink; find . -type f | sort | xargs md5sum; "
              "find . -newer d3/file-3 | sort; }; cd / && rm -r $d && ls $d 2>&1")
    tree = make_tree()
    run = guest(BUSYBOX, "sh", "-c", script, stdin=tree)
    equal(expect(run, 1), host_shell(script + "; true", stdin=tree))


@check
def standard_error_is_apart_and_complete():
    run = guest(BUSYBOX, "sh", "-c", "seq 1 5000; seq 5001 10000 >&2; cat /nonexistent")
    equal(run.stdout, b"".join(b"%d\n" % n for n in range(1, 5001)))
    equal(run.stderr, b"".join(b"%d\n" % n for n in range(5001, 10001)) +
          b"cat: can't open '/nonexistent': No such file or directory\n")
    equal(run.returncode, 1)


@check
def input_that_nobody_reads_does_not_hold_the_end_up():
    equal(expect(guest(BUSYBOX, "true", stdin=some_bytes(TEN_MEBIBYTES))), b"")
    equal(expect(guest(BUSYBOX, "head", "-c", "70000", stdin=b"x" * TEN_MEBIBYTES)), b"x" * 70000)


@check
def the_end_of_input_is_seen_once_and_again():
    equal(shell("cat; cat; echo end", stdin=b"text without a newline"), b"text without a newlineend\n")
    equal(shell("read x; echo \"<$x>\"; read y || echo none", stdin=b"one\n"), b"<one>\nnone\n")
