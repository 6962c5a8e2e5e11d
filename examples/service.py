from congress_dse import d6cage, deepsix


class Greeter(deepsix.deepSix):
    def reqhandler(self, msg):
        self.publish("greeted", {(name,) for name in msg.body["names"]})
        return f"hello {', '.join(msg.body['names'])}"


cage = deepsix.spawnService(d6cage.d6Cage)
greeter = cage.createservice("greeter", factory=Greeter)
listener = cage.createservice("listener", factory=deepsix.deepSix)
listener.subscribe("greeter", "greeted", callback=lambda msg: print("greeted:", *msg.body.added))
print(cage.ask("greeter", "greet", {"names": ["Ada"]}))
cage.d6stop()
