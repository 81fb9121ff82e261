"""A table of films as DATA: what spreadsheets write, where files lie, what is left out and what is refused."""

import zipfile
from pathlib import Path

import pytest

from cxr import phantom
from cxr.data.sources import open_data, open_upload
from cxr.errors import DataError, UsageError

CONTENT = phantom.phantom_jpeg(phantom.phantom_split(12)[0], 48)


def films(root: Path, *names: str) -> Path:
    for name in names or ("a.png", "b.png", "sub/c.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(CONTENT + name.encode())
    return root


def table(root: Path, text: str | bytes, name: str = "films.csv") -> str:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(root / name)


def rows(data: str, **options: str) -> list[tuple[str, str, str, str]]:
    return [(film.path, film.split, film.label, film.patient) for film in open_data(data, **options).films]


def test_every_column(tmp_path: Path) -> None:
    films(tmp_path)
    data = table(
        tmp_path,
        "file,label,patient,split,subtype,source,age,sex,view,pair,other\n"
        "a.png,Normal,p1,train,,siteA,31,F,PA,12,x\n"
        "sub/c.png,1,p2,Testing,Virus,siteB,-1,M,AP,,y\n",
    )
    first, second = open_data(data).films
    assert (first.split, first.label, first.patient, first.source) == ("train", "NORMAL", "p1", "siteA")
    assert (first.age, first.sex, first.view, first.pair) == ("31", "F", "PA", "12")
    assert (second.split, second.label, second.subtype, second.age) == ("test", "PNEUMONIA", "viral", "")
    assert open_data(data).read(second) == CONTENT + b"sub/c.png"


EXPECTED = [("a.png", "all", "NORMAL", "1"), ("sub/c.png", "all", "PNEUMONIA", "2")]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("file,label,patient\na.png,normal,1\nsub/c.png,pneumonia,2\n", "films.csv"),
        ("\ufefffile;label;patient\r\na.png;normal;1\r\nsub\\c.png;neumonía;2\r\n", "excel.csv"),
        ("sep=;\nfile;label;patient\na.png;0;1\nsub/c.png;1;2\n", "films.csv"),
        ("file\tlabel\tpatient\na.png\tNORMAL\t1\nsub/c.png\tVIRUS\t2\n", "films.tsv"),
        ("File, Label ,PATIENT\n a.png , normal,1\n\nsub\\c.png,BACTERIA,2\n", "films.csv"),
        ("file;label;patient\nA.PNG;normal;1\n./sub/../sub/c.png;neumonía;2\n".encode("cp1252"), "films.csv"),
        ("file\tlabel\tpatient\na.png\tnormal\t1\nsub/c.png\tneumonía\t2\n".encode("utf-16"), "films.csv"),
        ('"file","label","patient"\r"a.png","normal","1"\r"sub/c.png","pneumonia","2"\r', "old-mac.csv"),
        ("file|label|patient\na.png|normal|1\nsub/c.png|pneumonia|2\n", "films.csv"),
        ("file,label,patient\na,normal,1\nSUB/C,pneumonia,2\n", "without-suffixes.csv"),
        (
            'file,label,patient,note\na.png,normal,1,"two\nlines, of ""text"""\nsub/c.png,viral,2,\n',
            "films.csv",
        ),
    ],
)
def test_what_spreadsheets_write(tmp_path: Path, text: str | bytes, name: str) -> None:
    films(tmp_path)
    assert rows(table(tmp_path, text, name)) == EXPECTED


def test_columns_by_other_names(tmp_path: Path) -> None:
    films(tmp_path)
    data = table(tmp_path, "Image Index,Target,Patient ID\na.png,0,1\nsub/c.png,1,2\n", "x.csv")
    assert rows(data, columns="file=Image Index, label=Target,patient=Patient ID") == EXPECTED
    with pytest.raises(
        DataError, match=r"x\.csv has no column file, label; its columns are Image Index.*--columns"
    ):
        open_data(data)
    with pytest.raises(DataError, match="has no column Class"):
        open_data(data, columns="file=Image Index,label=Class")
    for wrong in ("file", "picture=a", "file="):
        with pytest.raises(UsageError, match="--columns holds"):
            open_data(data, columns=wrong)


def test_files_may_lie_elsewhere(tmp_path: Path) -> None:
    films(tmp_path / "images", "a.png", "sub/c.png")
    text = f"file,label\n{tmp_path}/images/a.png,normal\n../images/sub/c.png,pneumonia\n"
    found = rows(table(tmp_path / "tables", text))
    assert [row[0] for row in found] == ["a.png", "sub/c.png"], "no folder of the machine in a film's name"


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    films(tmp_path)
    data = table(
        tmp_path,
        "file,label,split\na.png,normal,train\na.png,0,Train\nb.png,COVID,train\nb.png,,train\n,normal,train\n"
        "b.png,normal,fold3\nb.png,normal,\nsub/c.png,pneumonia,train\n",
    )
    source = open_data(data)
    assert [film.path for film in source.films] == ["a.png", "sub/c.png"]
    assert source.identity.passed_over == {
        "named twice in the table": 1,
        "with the label COVID": 1,
        "without a label": 1,
        "rows without a file": 1,
        "in the split fold3": 1,
        "without a split": 1,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file,label\na.png,0\n./a.png,1\n",
            r"names \./a\.png twice, in line 2 as NORMAL in all",
        ),
        (
            "file,label\nx.png,0\ny.png,1\n",
            r"None of the 2 files that films\.csv names exists, such as x\.png",
        ),
        ("file,label\na.png,cat\n", "None of the 1 rows of .* is a film.*1 with the label cat"),
        ("", "has no column file, label; its columns are none"),
        ('file,label\n"a.png,0\n', "is no table in CSV"),
        (b"file,label\n\0\0", "is no text"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    films(tmp_path)
    with pytest.raises(DataError, match=message):
        open_data(table(tmp_path, text))


def test_a_missing_file_is_told_when_it_is_read(tmp_path: Path) -> None:
    films(tmp_path)
    source = open_data(table(tmp_path, "file,label\na.png,0\ngone.png,1\n"))
    with pytest.raises(DataError, match=r"gone\.png does not exist, but films\.csv names it"):
        source.read(source.films[1])


def test_a_name_without_its_suffix_must_name_one_file(tmp_path: Path) -> None:
    films(tmp_path, "a.png", "b.png", "b.dcm", "c.d.png")
    source = open_data(table(tmp_path, "file,label\na,normal\nb,normal\nc.d,pneumonia\n"))
    assert [film.path for film in source.films] == ["a.png", "b", "c.d.png"]
    with pytest.raises(DataError, match=r"b does not exist, but films\.csv names it"):
        source.read(source.films[1])


def test_a_pattern_names_patients_where_the_table_does_not(tmp_path: Path) -> None:
    films(tmp_path, "x1_a.png", "x2_a.png")
    data = table(tmp_path, "file,label,patient\nx1_a.png,0,\nx2_a.png,1,own\n")
    assert [row[3] for row in rows(data, patient_pattern=r"x(\d+)")] == ["1", "own"]
    with pytest.raises(UsageError, match="fits no film"):
        open_data(str(films(tmp_path / "d", "NORMAL/a.png", "PNEUMONIA/b.png")), r"q(\d+)")


def test_a_table_in_a_folder_or_a_zip_is_read_the_same(tmp_path: Path) -> None:
    root = films(tmp_path / "set", "NORMAL/niño.png", "PNEUMONIA/b.png", "PNEUMONIA/c.png")
    table(root, "file,label,patient\nNORMAL\\NIÑO.png,normal,1\nPNEUMONIA/b.png,pneumonia,2\n")
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.*")):
            archive.write(file, f"set/{file.relative_to(root)}")
    in_folder = open_data(str(root))
    assert [film.patient for film in in_folder.films] == ["1", "2"]
    for source in (open_data(str(path)), open_upload(path)):
        assert [(film.path, film.patient) for film in source.films] == [
            ("set/NORMAL/niño.png", "1"),
            ("set/PNEUMONIA/b.png", "2"),
        ]
        assert source.identity.passed_over == {"not named in films.csv": 1}
        assert source.read(source.films[1]) == CONTENT + b"PNEUMONIA/b.png"


def test_a_table_in_a_zip_names_no_file_of_the_machine(tmp_path: Path) -> None:
    films(tmp_path, "secret.png")
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("films.csv", f"file,label\n{tmp_path}/secret.png,0\n../secret.png,1\n")
    with pytest.raises(DataError, match="None of the 2 files"):
        open_upload(path)
    csv = table(tmp_path, "file,label\nsecret.png,0\n")
    with pytest.raises(DataError, match=r"is no \.zip"):
        open_upload(Path(csv))


def test_the_page_is_not_told_of_options(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("films.csv", "image,label\na.png,0\n")
    with pytest.raises(DataError) as caught:
        open_upload(path)
    assert "--" not in str(caught.value)


def test_a_workbook_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"films\.xlsx is a workbook. Save its sheet as CSV"):
        open_data(table(tmp_path, b"PK\x03\x04", "films.xlsx"))
