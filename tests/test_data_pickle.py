"""The reader of CIFAR's pickles: what Python 2 wrote, what Python 3 writes, and everything it must refuse."""

import functools
import io
import os
import pickle
import pickletools
import struct

import numpy as np
import pytest

from fastnn.data.batch_pickle import read_batch_pickle

PIXELS = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)


class Python2Pickler(pickle._Pickler):
    """Python's own pickler, writing byte strings as Python 2 did at protocol 2."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_bytes(self, value):
        if len(value) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(value)]) + value)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def python2_dumps(value):
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def python3_dumps(value):
    return pickle.dumps(value, protocol=2)


def batch():
    return {
        b"batch_label": b"training batch 1 of 5",
        b"labels": [6, 9],
        b"data": PIXELS,
        b"filenames": [b"leptodactylus_pentadactylus_s_000004.png", b"camion_s_000148.png"],
    }


def original_bytes(rows=2, labels=b"K\x06K\x09", data=None):
    """The instructions of CIFAR-10's data_batch_1 as cPickle left them, with fewer rows."""
    data = PIXELS[:rows].tobytes() if data is None else data
    return b"".join(
        [
            b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(",
            labels,
            b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09",
            b"(K\x01M" + struct.pack("<H", rows) + b"M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b",
            b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<I", len(data)) + data,
            b"tbU\x09filenamesq\x0c]q\x0d(U\x05a.pngq\x0eU\x05b.pngq\x0feu.",
        ]
    )


def read(tmp_path, content):
    path = tmp_path / "batch"
    path.write_bytes(content)
    return read_batch_pickle(path)


def test_the_original_instructions(tmp_path):
    content = original_bytes()
    ours = read(tmp_path, content)
    theirs = pickle.loads(content, encoding="bytes")
    assert list(ours) == list(theirs) == [b"batch_label", b"labels", b"data", b"filenames"]
    assert np.array_equal(ours.pop(b"data"), theirs.pop(b"data"))
    assert ours == theirs


@pytest.mark.parametrize("dumps", [python2_dumps, python3_dumps])
def test_round_trip_through_the_pickle_module(tmp_path, dumps):
    result = read(tmp_path, dumps(batch()))
    assert np.array_equal(result[b"data"], PIXELS)
    assert result[b"data"].dtype == np.uint8
    expected = batch()
    del expected[b"data"], result[b"data"]
    assert result == expected


def test_the_two_writers_differ_in_the_form_of_byte_strings():
    for dumps, expected in ((python2_dumps, True), (python3_dumps, False)):
        names = {operation.name for operation, _, _ in pickletools.genops(dumps(batch()))}
        assert ({"SHORT_BINSTRING", "BINSTRING"} <= names) == expected


@pytest.mark.parametrize("dumps", [python2_dumps, python3_dumps])
def test_long_lists_shared_strings_and_fortran_order(tmp_path, dumps):
    names = [f"name {i % 700}".encode() for i in range(3000)]
    names[1500:] = [names[0]] * 1500
    value = {
        b"labels": [i % 70000 for i in range(100_000)],
        b"names": names,
        b"empty": [],
        b"one": [5],
        b"data": np.asfortranarray(PIXELS),
        b"count": -3,
    }
    result = read(tmp_path, dumps(value))
    assert np.array_equal(result.pop(b"data"), value.pop(b"data"))
    assert result == value


def test_text_keys_of_python3(tmp_path):
    result = read(tmp_path, python3_dumps({"label_names": [b"cat"], "num_vis": 3072}))
    assert result == {b"label_names": [b"cat"], b"num_vis": 3072}


class Evil:
    """Unpickling this would run a shell command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(6))
def test_malicious_pickles_run_nothing(tmp_path, protocol):
    witness = tmp_path / "witness"
    for value in (Evil(witness), {b"data": PIXELS, b"labels": [Evil(witness)]}):
        with pytest.raises(ValueError, match="read_batch_pickle"):
            read(tmp_path, pickle.dumps(value, protocol=protocol))
        assert not witness.exists()


@pytest.mark.parametrize(
    "name",
    [
        b"os\nsystem",
        b"builtins\neval",
        b"posix\nsystem",
        b"numpy\nload",
        b"_codecs\ndecode",
        b"numpy.core\nx",
    ],
)
def test_other_globals_are_refused_by_name(tmp_path, name):
    with pytest.raises(ValueError, match=f"asks for '{name.replace(bytes([10]), b'.').decode()}', which is refused"):
        read(tmp_path, b"\x80\x02c" + name + b"\nU\x01x\x85R.")


@pytest.mark.parametrize(
    "value",
    [
        {b"data": PIXELS.astype(np.float32)},
        {b"data": PIXELS.astype(object)},
        {b"data": PIXELS.view([("field", "u1")])},
        {b"labels": [1, b"two"]},
        {b"labels": [True]},
        {b"labels": [[1]]},
        {b"labels": [None]},
        {b"labels": (1, 2)},
        {b"labels": 1.5},
        {b"labels": 2**40},
        {b"labels": None},
        {b"inner": {b"key": 1}},
        {b"text": "text"},
        {b"kind": np.dtype("u1")},
        {1: b"key"},
        {(): b"key"},
        [b"no dictionary"],
        b"no dictionary",
        {b"code": functools.partial(print, "run")},
    ],
    ids=lambda value: str(value)[:30],
)
def test_other_contents_are_refused(tmp_path, value):
    for dumps in (python2_dumps, python3_dumps):
        with pytest.raises(ValueError, match="read_batch_pickle"):
            read(tmp_path, dumps(value))


@pytest.mark.parametrize("protocol", [0, 1, 3, 4, 5])
def test_other_protocols_are_refused(tmp_path, protocol):
    with pytest.raises(ValueError, match="protocol 2"):
        read(tmp_path, pickle.dumps({b"labels": [1]}, protocol=protocol))


def test_every_truncation_is_refused(tmp_path):
    content = original_bytes(rows=1, labels=b"K\x06")
    ends = [*range(300), *range(300, len(content) - 70, 97), *range(len(content) - 70, len(content))]
    for end in ends:
        with pytest.raises(ValueError, match="read_batch_pickle"):
            read(tmp_path, content[:end])
    with pytest.raises(ValueError, match="file with the pickle"):
        read(tmp_path, content + b".")


def test_short_file_cannot_fill_the_memory(tmp_path):
    text = b"X" + struct.pack("<I", 10**6) + b"x" * 10**6
    again = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R"
    with pytest.raises(ValueError, match="more text than it holds"):
        read(tmp_path, b"\x80\x02" + text + b"q\x00" + again * 10_000 + b".")


def test_array_that_does_not_fit_its_shape(tmp_path):
    with pytest.raises(ValueError, match="reshape"):
        read(tmp_path, original_bytes(rows=2, data=bytes(3072)))


def test_random_damage_never_does_anything_but_raise(tmp_path):
    content = original_bytes(rows=1, labels=b"K\x06")
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(3000):
        damaged = bytearray(content)
        for place in rng.integers(0, 260, rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        try:
            read(tmp_path, bytes(damaged))
            outcomes.add("read")
        except ValueError as error:
            assert str(error).startswith("read_batch_pickle: ")  # noqa: PT017
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize(
    "program",
    [
        b".",  # nothing on the stack
        b"R.",
        b"b.",
        b"0.",
        b"u.",
        b"e.",
        b"t.",
        b"h\x05.",  # unknown memo entry
        b"}K\x01K\x02u.",  # no mark
        b"}(K\x01u.",  # odd number of items
        b"](K\x01K\x02u.",  # items into a list
        b"}(K\x01e.",  # append to a dictionary
        b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R.",
        b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R.",
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R.",
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nM\x00\x0c\x85U\x01b\x87R.",
        b"c" + b"x" * 1000,  # a name without an end
        b"T\xff\xff\xff\xff.",  # a string longer than the file
        b"(" * 5000 + b"R.",
        b"]q\x01" + b"h\x01a" * 10 + b".",  # a list that holds itself
        b"]" * 20000 + b"a" * 19999 + b"NR.",  # deep nesting
        b"}U\x01a]q\x01h\x01as.",  # a self-containing list inside the dictionary
    ],
)
def test_ill_formed_programs(tmp_path, program):
    with pytest.raises(ValueError, match="read_batch_pickle"):
        read(tmp_path, b"\x80\x02" + program)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_batch_pickle(tmp_path / "data_batch_1")
