from autocomp.executors.places import device_resource


def test_a_device_has_a_resource_of_its_name():
    assert device_resource("pi4") == "device:pi4" != device_resource("pi5")
