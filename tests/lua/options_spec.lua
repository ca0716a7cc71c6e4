-- Options that no function knows.

describe("a misspelt option", function()
  it("of select, JSON and tables is raised with what was meant", function()
    local ch = iza.channel(1)
    for words, call in pairs{
      ["'timeot'; did you mean 'timeout'"] = function() iza.select{{ch}, timeot = 1} end,
      ["'sned'; did you mean 'send'"] = function() iza.select{{ch, sned = 1}} end,
      ["'indnt'; did you mean 'indent'"] = function() iza.json.encode({}, {indnt = 2}) end,
      ["'dept'; did you mean 'depth'"] = function() iza.json.decode("1", {dept = 2}) end,
      ["'colums'; did you mean 'columns'"] = function() iza.term.table({}, {colums = {}}) end,
      ["'totl'; did you mean 'total'"] = function() iza.term.progress{label = "x", totl = 1} end,
    } do
      assert.error_matches(call, words)
    end
  end)

  it("is raised inside an isolate too", function()
    local program <close> = iza.isolate{source = [[return function()
      iza.json.encode({}, {indnt = 2})
    end]]}
    assert.error_matches(function() program:call() end, "did you mean 'indent'")
  end)
end)
